"""The client against a repository of a few lines on a real nats-server: what answers come to."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client as NatsClient

from kaa_epr.client import (
    BadRequest,
    ClientOptions,
    EndpointNotFound,
    EpmmpClient,
    PayloadTooLarge,
    ProtocolViolation,
    RepositoryError,
    RepositoryUnavailable,
    RequestTimeout,
    StatusError,
    TooManyRequests,
)
from kaa_epr.embedded import NatsServer
from kaa_epr.messages import subjects
from tests.flows.client_repository import SECRET, Repository, answer_one, settle


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
