"""The client against a repository of a few lines on a real nats-server: every way an answer can go wrong."""

from __future__ import annotations

import asyncio
import io
import logging
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fastavro
import nats
import pytest
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from kaa_epr import schemas
from kaa_epr.client import (
    BadRequest,
    ClientClosed,
    ClientOptions,
    ConnectionFailed,
    EndpointNotFound,
    EpmmpClient,
    NoResponders,
    PayloadTooLarge,
    ProtocolViolation,
    RepositoryError,
    RepositoryUnavailable,
    RequestTimeout,
    StatusError,
    TooManyRequests,
)
from kaa_epr.embedded import NatsServer
from kaa_epr.events import subjects

SECRET = "s3cr3t-value"
SOON = ClientOptions(backoff=0.01, backoff_max=0.01)
"""Retries without noticeable pauses."""


class Asked:
    """A get request as it arrived."""

    def __init__(self, msg: Msg, fields: dict[str, Any]) -> None:
        self.msg = msg
        self.fields = fields

    @property
    def correlation_id(self) -> str:
        correlation_id = self.fields["correlationId"]
        assert isinstance(correlation_id, str)
        return correlation_id


class Repository:
    """Takes gets and answers what the test says, when it says so."""

    def __init__(self, nc: NatsClient, instance: str, revision: int = 3) -> None:
        self.nc = nc
        self.instance = instance
        self.request_schema = schemas.load(f"epmmp/0019-endpoint-metadata-get-request.rev{revision}")
        self.response_schema = schemas.load(f"epmmp/0019-endpoint-metadata-get-response.rev{revision}")
        self.asked: asyncio.Queue[Asked] = asyncio.Queue()

    async def listen(self) -> None:
        """Returns when the server knows: nats-py's PING overtakes a SUB that waits, the second one cannot."""
        await self.nc.subscribe(subjects.metadata_get_request(self.instance), cb=self._take)
        await self.nc.flush()
        await self.nc.flush()

    async def _take(self, msg: Msg) -> None:
        fields = fastavro.schemaless_reader(io.BytesIO(msg.data), self.request_schema, None)
        assert isinstance(fields, dict)
        await self.asked.put(Asked(msg, fields))

    async def next(self) -> Asked:
        return await asyncio.wait_for(self.asked.get(), 20)

    def encode(self, asked: Asked, **changes: Any) -> bytes:
        answer = {
            "correlationId": asked.correlation_id,
            "timestamp": time.time_ns() // 1_000_000,
            "timeout": 0,
            "endpointId": asked.fields["endpointId"],
            "eTag": '"7"',
            "payload": b'{"k":"v"}',
            "statusCode": 200,
            "reasonPhrase": None,
            "appVersionName": "v1",
            **changes,
        }
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, self.response_schema, answer)
        return buffer.getvalue()

    async def answer(self, asked: Asked, **changes: Any) -> None:
        await self.nc.publish(asked.msg.reply, self.encode(asked, **changes))

    async def refuse(self, asked: Asked, status: int, reason: str = "why") -> None:
        await self.answer(
            asked, statusCode=status, reasonPhrase=reason, payload=None, eTag=None, appVersionName=None
        )


@pytest.fixture
async def nc(nats_server: NatsServer) -> AsyncIterator[NatsClient]:
    """The repository's connection."""
    connection = await nats.connect(nats_server.url)
    yield connection
    await connection.close()


@pytest.fixture
async def repository(nc: NatsClient, instance_name: str) -> Repository:
    made = Repository(nc, instance_name)
    await made.listen()
    return made


@pytest.fixture
async def client(nats_server: NatsServer, instance_name: str) -> AsyncIterator[EpmmpClient]:
    async with EpmmpClient(
        servers=nats_server.url, repository=instance_name, timeout=20, attempts=3, options=SOON
    ) as made:
        yield made


async def answer_one(repository: Repository) -> None:
    await repository.answer(await repository.next())


async def settle(client: EpmmpClient, repository: Repository) -> None:
    """Everything the repository has sent so far has reached the client: answers come in order."""
    await asyncio.gather(client.get("settle"), answer_one(repository))


async def test_a_get_carries_its_deadline_and_brings_the_answer(
    client: EpmmpClient, repository: Repository
) -> None:
    before = time.time() * 1000
    get = asyncio.create_task(client.get("e-1", ["b", "a"], timeout=7, correlation_id="order-12"))
    asked = await repository.next()
    expected = subjects.metadata_get_response(client.replica_id)
    assert asked.msg.reply == expected == f"kaa.v1.replica.{client.replica_id}.epmmp.ep-metadata-get-response"
    assert asked.correlation_id.startswith("order-12-")
    assert asked.fields["endpointId"] == "e-1"
    assert asked.fields["include"] == ["b", "a"]
    assert asked.fields["includeMetadata"] is True
    assert before - 1 <= asked.fields["timestamp"] <= time.time() * 1000
    assert before + 6999 <= asked.fields["timestamp"] + asked.fields["timeout"] <= time.time() * 1000 + 7001
    await repository.answer(asked)
    endpoint = await get
    assert endpoint.endpoint_id == "e-1"
    assert endpoint.correlation_id == "order-12"
    assert endpoint.metadata == {"k": "v"}
    assert endpoint.payload == b'{"k":"v"}'
    assert (endpoint.etag, endpoint.app_version_name) == ('"7"', "v1")
    assert client.in_flight == 0


async def test_metadata_may_be_left_out(client: EpmmpClient, repository: Repository) -> None:
    get = asyncio.create_task(client.get("e", include_metadata=False))
    asked = await repository.next()
    assert asked.fields["includeMetadata"] is False
    await repository.answer(asked, payload=None)
    endpoint = await get
    assert endpoint.metadata is None
    assert endpoint.payload is None
    assert endpoint.etag == '"7"'


@pytest.mark.parametrize(("revision", "etag"), [(1, None), (2, '"7"')])
async def test_older_revisions(
    revision: int, etag: str | None, nc: NatsClient, nats_server: NatsServer, instance_name: str
) -> None:
    repository = Repository(nc, instance_name, revision)
    await repository.listen()
    options = ClientOptions(revision=revision)  # type: ignore[arg-type]
    async with EpmmpClient(servers=[nats_server.url], repository=instance_name, options=options) as client:
        endpoint, _ = await asyncio.gather(client.get("e"), answer_one(repository))
        assert endpoint.metadata == {"k": "v"}
        assert (endpoint.etag, endpoint.app_version_name) == (etag, None)
        with pytest.raises(ValueError, match="needs revision 3"):
            await client.get("e", include_metadata=False)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequest),
        (404, EndpointNotFound),
        (413, PayloadTooLarge),
        (500, RepositoryError),
        (418, RepositoryError),
    ],
)
async def test_a_status_is_an_error_of_its_own(
    status: int, error: type[StatusError], client: EpmmpClient, repository: Repository
) -> None:
    get = asyncio.create_task(client.get("e-9", correlation_id="c"))
    await repository.refuse(await repository.next(), status, "for a reason")
    with pytest.raises(error) as caught:
        await get
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.reason) == (status, "for a reason")
    assert (caught.value.endpoint_id, caught.value.correlation_id) == ("e-9", "c")
    assert str(caught.value) == f"endpoint 'e-9': status {status}, 'for a reason' (correlation id 'c')"
    assert client.stats.attempts == 1


async def test_a_503_is_asked_again(client: EpmmpClient, repository: Repository) -> None:
    get = asyncio.create_task(client.get("e", correlation_id="c"))
    first = await repository.next()
    await repository.refuse(first, 503)
    second = await repository.next()
    assert first.correlation_id != second.correlation_id
    deadlines = [asked.fields["timestamp"] + asked.fields["timeout"] for asked in (first, second)]
    assert abs(deadlines[0] - deadlines[1]) <= 2
    await repository.answer(second)
    assert (await get).metadata == {"k": "v"}
    assert (client.stats.gets, client.stats.attempts) == (1, 2)


async def test_a_503_to_the_last_attempt_is_an_error(client: EpmmpClient, repository: Repository) -> None:
    get = asyncio.create_task(client.get("e"))
    for _ in range(3):
        await repository.refuse(await repository.next(), 503, "Endpoint store is unavailable")
    with pytest.raises(RepositoryUnavailable, match="Endpoint store is unavailable") as caught:
        await get
    assert type(caught.value) is RepositoryUnavailable


async def test_whether_a_503_is_asked_again_is_a_choice(
    nats_server: NatsServer, repository: Repository
) -> None:
    options = ClientOptions(retry_unavailable=False)
    async with EpmmpClient(
        servers=nats_server.url, repository=repository.instance, options=options
    ) as client:
        get = asyncio.create_task(client.get("e"))
        await repository.refuse(await repository.next(), 503)
        with pytest.raises(RepositoryUnavailable):
            await get
        assert client.stats.attempts == 1


@pytest.fixture
async def hasty(nats_server: NatsServer, instance_name: str) -> AsyncIterator[EpmmpClient]:
    """Asks again after a twentieth of a second."""
    options = ClientOptions(backoff=0.01, backoff_max=0.01, attempt_timeout=0.05)
    async with EpmmpClient(
        servers=nats_server.url, repository=instance_name, timeout=20, attempts=3, options=options
    ) as made:
        yield made


async def test_an_answer_to_an_earlier_attempt_counts_and_later_ones_are_dropped(
    hasty: EpmmpClient, repository: Repository
) -> None:
    get = asyncio.create_task(hasty.get("e"))
    asked = [await repository.next() for _ in range(3)]
    await repository.refuse(asked[0], 503)  # stale: the third attempt waits
    await repository.answer(asked[1], eTag='"2"')
    await repository.answer(asked[2], eTag='"3"')
    assert (await get).etag == '"2"'
    await settle(hasty, repository)
    assert hasty.stats.late_answers == 2
    assert hasty.stats.foreign_answers == 0


async def test_silence_is_a_timeout(hasty: EpmmpClient, repository: Repository) -> None:
    started = time.monotonic()
    with pytest.raises(RequestTimeout, match=r"no answer within 0\.5 s and 3 attempts") as caught:
        await hasty.get("e", timeout=0.5)
    assert 0.45 <= time.monotonic() - started < 10
    assert (caught.value.attempts, caught.value.timeout, caught.value.hint) == (3, 0.5, None)
    await repository.answer(await repository.next())
    await repository.next()
    await repository.next()
    await settle(hasty, repository)
    assert hasty.stats.late_answers == 1


async def test_a_second_answer_is_dropped(client: EpmmpClient, repository: Repository) -> None:
    get = asyncio.create_task(client.get("e"))
    asked = await repository.next()
    await repository.answer(asked, eTag='"1"')
    await repository.answer(asked, eTag='"2"')
    assert (await get).etag == '"1"'
    await settle(client, repository)
    assert client.stats.late_answers == 1
    assert client.stats.answers == 2


async def test_an_answer_to_nobody_is_counted_and_dropped(
    client: EpmmpClient, repository: Repository
) -> None:
    get = asyncio.create_task(client.get("e"))
    asked = await repository.next()
    await repository.answer(asked, correlationId="somebody else's")
    await repository.nc.publish(asked.msg.reply, b"\xff\xff")
    await repository.answer(asked)
    assert (await get).metadata == {"k": "v"}
    assert client.stats.foreign_answers == 1
    assert client.stats.undecodable_answers == 1


async def test_an_answer_that_does_not_decode_ends_its_get(
    client: EpmmpClient, repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    get = asyncio.create_task(client.get("e"))
    asked = await repository.next()
    await repository.nc.publish(
        asked.msg.reply, repository.encode(asked, payload=SECRET.encode()) + b"\x02\x02"
    )
    with pytest.raises(ProtocolViolation, match="2 unexpected trailing bytes at byte") as caught:
        await get
    assert SECRET not in str(caught.value) + repr(caught.value) + caplog.text


async def test_an_answer_about_another_endpoint_ends_the_get(
    client: EpmmpClient, repository: Repository
) -> None:
    get = asyncio.create_task(client.get("e"))
    await repository.answer(await repository.next(), endpointId="other")
    with pytest.raises(ProtocolViolation, match="about another endpoint"):
        await get


async def test_an_answer_of_another_revision_is_told(
    client: EpmmpClient, nc: NatsClient, instance_name: str
) -> None:
    repository = Repository(nc, instance_name, revision=1)
    await repository.listen()
    get = asyncio.create_task(client.get("e"))
    await repository.answer(await repository.next())
    with pytest.raises(ProtocolViolation, match="it is of revision 1, not 3 as configured"):
        await get


@pytest.mark.parametrize("payload", [SECRET.encode(), f'["{SECRET}"]'.encode(), b"\xff", b"[" * 100_000])
async def test_metadata_that_is_no_json_object_is_told_when_asked_for(
    payload: bytes, client: EpmmpClient, repository: Repository
) -> None:
    get = asyncio.create_task(client.get("e"))
    await repository.answer(await repository.next(), payload=payload)
    endpoint = await get
    assert endpoint.payload == payload
    with pytest.raises(ProtocolViolation, match="the metadata is not") as caught:
        _ = endpoint.metadata
    assert SECRET not in str(caught.value) + repr(endpoint)
    assert caught.value.__cause__ is None


async def test_many_at_once_each_get_their_own_answer(client: EpmmpClient, repository: Repository) -> None:
    gets = [asyncio.create_task(client.get(f"e{n}", correlation_id="same")) for n in range(200)]
    asked = [await repository.next() for _ in range(200)]
    assert client.in_flight == 200
    assert len({one.correlation_id for one in asked}) == 200
    for one in reversed(asked):
        await repository.answer(one, eTag=f'"{one.fields["endpointId"]}"')
    for number, endpoint in enumerate(await asyncio.gather(*gets)):
        assert endpoint.endpoint_id == f"e{number}"
        assert endpoint.etag == f'"e{number}"'
    assert client.in_flight == 0


async def test_nobody_listens(nats_server: NatsServer, nc: NatsClient, instance_name: str) -> None:
    async with EpmmpClient(nc, repository=instance_name, timeout=20, attempts=3, options=SOON) as client:
        started = time.monotonic()
        with pytest.raises(NoResponders, match=f"nobody listens to .*.{instance_name}"):
            await client.get("e")
        assert time.monotonic() - started < 10
        assert client.stats.no_responders == client.stats.attempts == 3


async def test_a_repository_that_comes_up_is_found(
    nats_server: NatsServer, nc: NatsClient, instance_name: str
) -> None:
    options = ClientOptions(backoff=0.02, backoff_max=0.02)
    async with EpmmpClient(nc, repository=instance_name, timeout=20, attempts=900, options=options) as client:
        get = asyncio.create_task(client.get("e"))
        while client.stats.no_responders == 0:
            await nc.flush()
        repository = Repository(nc, instance_name)
        await repository.listen()
        await answer_one(repository)
        assert (await get).metadata == {"k": "v"}


async def test_a_cancelled_get_leaves_nothing_behind(client: EpmmpClient, repository: Repository) -> None:
    get = asyncio.create_task(client.get("e"))
    asked = await repository.next()
    get.cancel()
    with pytest.raises(asyncio.CancelledError):
        await get
    assert client.in_flight == 0
    await repository.answer(asked)
    await settle(client, repository)
    assert client.stats.late_answers == 1


async def test_closing_fails_what_is_in_flight(
    nc: NatsClient, repository: Repository, nats_server: NatsServer
) -> None:
    client = EpmmpClient(nc, repository=repository.instance)
    get = asyncio.create_task(client.get("e"))
    asked = await repository.next()
    await client.close()
    with pytest.raises(ClientClosed, match="the client is closed"):
        await get
    with pytest.raises(ClientClosed):
        await client.get("e")
    await client.close()
    assert nc.is_connected
    await repository.answer(asked)  # nobody is subscribed any more, and nothing breaks
    await nc.flush()


async def test_a_closed_or_draining_connection_of_the_callers(
    nats_server: NatsServer, instance_name: str
) -> None:
    lent = await nats.connect(nats_server.url)
    client = EpmmpClient(lent, repository=instance_name, attempts=1, timeout=5)
    with pytest.raises(NoResponders):
        await client.get("e")
    await lent.close()
    with pytest.raises(ClientClosed, match="the NATS connection is closed"):
        await client.get("e")
    await client.close()
    with pytest.raises(ClientClosed):
        await EpmmpClient(NatsClient(), repository=instance_name).get("e")


async def test_one_get_too_many_is_refused_at_once(nats_server: NatsServer, repository: Repository) -> None:
    options = ClientOptions(max_in_flight=2)
    async with EpmmpClient(
        servers=nats_server.url, repository=repository.instance, options=options
    ) as client:
        gets = [asyncio.create_task(client.get("e")) for _ in range(2)]
        asked = [await repository.next() for _ in range(2)]
        with pytest.raises(TooManyRequests, match=r"2 gets are in flight already"):
            await client.get("e")
        for one in asked:
            await repository.answer(one)
        await asyncio.gather(*gets)
        await settle(client, repository)


async def test_a_server_restart_is_survived_within_the_deadline(tmp_path: Path, instance_name: str) -> None:
    with NatsServer(tmp_path) as server:
        nc = await nats.connect(server.url, reconnect_time_wait=0.05, max_reconnect_attempts=-1)
        repository = Repository(nc, instance_name)
        await repository.listen()
        options = ClientOptions(connect={"reconnect_time_wait": 0.05}, backoff=0.05, backoff_max=0.05)
        async with EpmmpClient(
            servers=server.url, repository=instance_name, timeout=60, attempts=900, options=options
        ) as client:
            get = asyncio.create_task(client.get("e"))
            lost = await repository.next()
            await asyncio.to_thread(server.restart)
            again = await repository.next()
            assert again.correlation_id != lost.correlation_id
            await repository.answer(again)
            assert (await get).metadata == {"k": "v"}
            assert client.stats.links_lost >= 1
        await nc.close()


async def test_a_connection_of_our_own_that_closed_for_good_is_made_anew(
    client: EpmmpClient, repository: Repository
) -> None:
    get = asyncio.create_task(client.get("e"))
    await repository.next()
    first = client._connection._nc
    assert first is not None
    await first.close()
    await repository.answer(await repository.next())
    assert (await get).metadata == {"k": "v"}
    assert client._connection._nc is not first


async def test_the_last_attempts_answer_may_come_over_the_next_connection(
    nats_server: NatsServer, repository: Repository
) -> None:
    options = ClientOptions(connect={"reconnect_time_wait": 0.01})
    async with EpmmpClient(
        servers=nats_server.url, repository=repository.instance, timeout=20, attempts=1, options=options
    ) as client:
        get = asyncio.create_task(client.get("e"))
        asked = await repository.next()
        nc = client._connection._nc
        assert nc is not None
        await nc.force_reconnect()
        while client.stats.links_lost == 0:
            await repository.nc.flush()
        await repository.answer(asked)
        assert (await get).metadata == {"k": "v"}
        assert client.stats.attempts == 1


async def test_no_server_is_told(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server:
        url = server.url
    started = time.monotonic()
    with pytest.raises(ConnectionFailed, match=r"no connection to NATS: .*[Cc]onnect"):
        async with EpmmpClient(servers=url, timeout=0.5):
            pass
    assert time.monotonic() - started < 10


async def test_refused_credentials_are_told_and_not_shown(tmp_path: Path) -> None:
    config = [f'authorization {{ user: "u", password: "{SECRET}" }}']
    with NatsServer(tmp_path, config_lines=config) as server:
        client = EpmmpClient(
            servers=server.url,
            timeout=1,
            options=ClientOptions(connect={"user": "u", "password": SECRET + "x"}),
        )
        assert SECRET not in repr(client._options)
        with pytest.raises(ConnectionFailed, match=r"(?i)authorization") as caught:
            await client.get("e")
        assert SECRET not in str(caught.value)
        await client.close()
        right = ClientOptions(connect={"user": "u", "password": SECRET})
        async with EpmmpClient(servers=server.url, options=right, attempts=1) as admitted:
            with pytest.raises(NoResponders):
                await admitted.get("e")


async def test_a_refused_subscription_is_hinted_at(tmp_path: Path, instance_name: str) -> None:
    config = [
        "authorization { users: [",
        '  { user: "all", password: "p" }',
        '  { user: "deaf", password: "p", permissions: { subscribe: { deny: "kaa.v1.replica.>" } } }',
        "] }",
    ]
    with NatsServer(tmp_path, config_lines=config) as server:
        nc = await nats.connect(server.url, user="all", password="p")
        await Repository(nc, instance_name).listen()
        async with EpmmpClient(
            servers=server.url,
            repository=instance_name,
            timeout=0.5,
            options=ClientOptions(connect={"user": "deaf", "password": "p"}),
        ) as client:
            with pytest.raises(RequestTimeout, match=r"NATS said .*[Pp]ermissions [Vv]iolation"):
                await client.get("e")
        await nc.close()


async def test_what_the_repository_could_not_answer_is_not_sent(
    client: EpmmpClient, repository: Repository
) -> None:
    with pytest.raises(BadRequest, match="identifier longer than 4096 bytes"):
        await client.get("é" * 2049)
    with pytest.raises(BadRequest, match="identifier longer than 4096 bytes"):
        await client.get("e", correlation_id="c" * 4096)
    with pytest.raises(BadRequest, match="no UTF-8 form"):
        await client.get("\ud800")
    with pytest.raises(BadRequest, match="no UTF-8 form"):
        await client.get("e", ["\ud800"])
    with pytest.raises(BadRequest, match=r"max_payload of 1048576 bytes"):
        await client.get("e", ["x" * 2_000_000])
    with pytest.raises(TypeError, match="not one string"):
        await client.get("e", "abc")
    for timeout in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="timeout must be above 0"):
            await client.get("e", timeout=timeout)
    assert client.in_flight == 0
    await settle(client, repository)
    assert repository.asked.empty()


async def test_cancelling_works_while_the_server_takes_nothing(tmp_path: Path, instance_name: str) -> None:
    """nats-py waits for its write buffer then, and would swallow the cancellation."""
    with NatsServer(tmp_path) as server:
        options = ClientOptions(connect={"pending_size": 1024, "ping_interval": 3600})
        async with EpmmpClient(
            servers=server.url, repository=instance_name, timeout=60, attempts=1, options=options
        ) as client:
            nc = client._connection._nc
            assert nc is not None
            server.process.signal(signal.SIGSTOP)
            try:
                gets = [asyncio.create_task(client.get("e", ["x" * 900_000])) for _ in range(20)]
                await asyncio.wait(gets, timeout=0.5)
                writer = nc._transport._io_writer.transport  # type: ignore[union-attr]
                assert writer.get_write_buffer_size() > 0, "the server takes nothing, nats-py waits"
                for get in gets:
                    get.cancel()
                _, waiting = await asyncio.wait(gets, timeout=5)
                assert not waiting
                assert all(get.cancelled() for get in gets)
                assert client.in_flight == 0
            finally:
                server.process.signal(signal.SIGCONT)


def test_wrong_arguments_are_refused(nats_server: NatsServer) -> None:
    with pytest.raises(ValueError, match="either a NATS connection or servers"):
        EpmmpClient()
    with pytest.raises(ValueError, match="either a NATS connection or servers"):
        EpmmpClient(NatsClient(), servers=nats_server.url)
    with pytest.raises(ValueError, match="attempts must be at least 1"):
        EpmmpClient(servers=nats_server.url, attempts=0)
    with pytest.raises(subjects.InvalidSubjectToken, match="service instance name"):
        EpmmpClient(servers=nats_server.url, repository="a.b")
    with pytest.raises(subjects.InvalidSubjectToken, match="replica id"):
        EpmmpClient(servers=nats_server.url, replica_id="*")
