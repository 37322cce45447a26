"""The README's table of answers, row by row, through NATS with a real MongoDB, on every path of a get."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from nats.aio.client import Client as NatsClient

from kaa_epr.embedded import MongoServer, NatsServer, start_mongod
from kaa_epr.engine.api import Kind
from kaa_epr.messages import subjects
from kaa_epr.service import Service
from tests.nats.harness import Store, ask, ask_raw, connected, count, serving, settings_of
from tests.property.messages import Get, event_payload, long, string
from tests.property.support import needs_rust, response
from tests.support.waiting import until

FAST: dict[str, Any] = {"engine": "rust"}
CALLBACKS: dict[str, Any] = {"engine": "rust", "nats": {"fast_path": "off"}}
PURE: dict[str, Any] = {"engine": "pure"}
PATHS = [
    pytest.param(FAST, id="fast", marks=needs_rust),
    pytest.param(CALLBACKS, id="callbacks", marks=needs_rust),
    pytest.param(PURE, id="pure"),
]


@dataclass
class Stage:
    """One service, its store and somebody who asks."""

    service: Service
    store: Store
    peer: NatsClient
    instance: str

    async def get(self, endpoint_id: str = "e-1", **fields: Any) -> dict[str, Any]:
        return await ask(self.peer, self.instance, endpoint_id, **fields)

    async def raw(self, payload: bytes, revision: int = 3) -> dict[str, Any]:
        return response((await ask_raw(self.peer, self.instance, payload)).data, revision)

    def count(self, name: str) -> int:
        return count(self.service, name)

    async def lacks_its_store(self) -> bool:
        """Whether a miss is refused, and health says why: one failed load alone may have been an accident."""
        refused = (await self.get("e-2"))["statusCode"] == 503
        return refused and self.service.health.report().status == "DEGRADED"

    async def loads(self) -> bool:
        """Whether the store serves a miss, and is known to do so."""
        return (await self.get("e-2"))["statusCode"] == 200 and self.service.loader.stats().up


@pytest.fixture
def store(mongod: MongoServer, mongo_database: str) -> Iterator[Store]:
    made = Store(mongod.uri, mongo_database)
    made.put("e-1", version=7, model="m1", n=27.0, t=None)
    made.put("large", text="x" * 1_100_000)
    made.collection.insert_one({"_id": "broken", "metadata": 5})
    yield made
    made.close()


@pytest.fixture(params=PATHS)
async def stage(
    request: pytest.FixtureRequest, nats_server: NatsServer, store: Store, instance_name: str
) -> AsyncIterator[Stage]:
    settings = settings_of(nats_server.url, store.uri, store.database, instance_name, **request.param)
    async with serving(settings) as service, connected(nats_server.url) as peer:
        expected = "nats" not in request.param and service.engine.name == "rust"
        assert service.link.status().fast_path == expected
        yield Stage(service, store, peer, instance_name)
    store.close()


OK = {"statusCode": 200, "reasonPhrase": None, "eTag": '"7"', "appVersionName": "a-v1"}
ANSWERS: list[Any] = [
    pytest.param(Get(), {**OK, "payload": b'{"model":"m1","n":27.0,"t":null}'}, id="all metadata"),
    pytest.param(Get(include=("t", "no", "model", "t")), {**OK, "payload": b'{"model":"m1","t":null}'}),
    pytest.param(Get(flag=False), {**OK, "payload": None}, id="no metadata"),
    pytest.param(Get(timeout=-5), {**OK, "payload": b'{"model":"m1","n":27.0,"t":null}'}, id="no timeout"),
    pytest.param(Get(endpoint_id="no"), {"statusCode": 404, "reasonPhrase": "Endpoint not found"}),
    pytest.param(
        Get(endpoint_id="large"),
        {"statusCode": 413, "reasonPhrase": "Metadata exceeds the maximum NATS payload"},
        id="413",
    ),
    pytest.param(
        Get(endpoint_id="broken"),
        {"statusCode": 500, "reasonPhrase": "Stored endpoint is unusable"},
        id="500",
    ),
]


def timestamp_of(answer: dict[str, Any]) -> int:
    """Unix milliseconds."""
    value = answer["timestamp"]
    return value if isinstance(value, int) else round(value.timestamp() * 1000)


@pytest.mark.parametrize(("get", "expected"), ANSWERS)
async def test_a_miss_and_then_a_hit(stage: Stage, get: Get, expected: dict[str, Any]) -> None:
    for _ in range(2):
        before = time.time_ns() // 1_000_000
        answer = await stage.raw(get.encode())
        assert {key: answer[key] for key in expected} == expected
        assert (answer["correlationId"], answer["endpointId"]) == ("c-1", get.endpoint_id)
        assert answer["timeout"] == 0
        assert before <= timestamp_of(answer) <= time.time_ns() // 1_000_000


GOOD = Get().encode()
MALFORMED = [
    pytest.param(b"", "payload ends early", "", "", id="empty"),
    pytest.param(GOOD[:-2], "payload ends early", "c-1", "e-1", id="cut"),
    pytest.param(b"\xff" * 10 + b"\x01", "varint too long", "", "", id="varint"),
    pytest.param(string("c-1") + long(1) + long(0) + long(-3), "negative length", "c-1", "", id="negative"),
    pytest.param(string(b"\xff\xfe") + GOOD[4:], "invalid UTF-8", "", "", id="utf8"),
    pytest.param(
        string("c-1") + long(1) + long(0) + string("e-1") + long(1 << 40),
        "impossible block count",
        "c-1",
        "e-1",
        id="block",
    ),
    pytest.param(GOOD + b"\x01\x01", "unexpected trailing bytes", "c-1", "e-1", id="trailing"),
    pytest.param(
        Get(endpoint_id="e" * 4097).encode(), "identifier longer than 4096 bytes", "", "", id="too long"
    ),
]


@pytest.mark.parametrize(("payload", "reason", "correlation_id", "endpoint_id"), MALFORMED)
async def test_what_does_not_decode_is_refused_with_its_reason(
    stage: Stage, payload: bytes, reason: str, correlation_id: str, endpoint_id: str
) -> None:
    # An ID that is too long is found last: by then the request's own revision is known.
    answer = await stage.raw(payload, revision=3 if "longer" in reason else 1)
    assert (answer["statusCode"], answer["reasonPhrase"]) == (400, f"Malformed request: {reason}")
    assert (answer["correlationId"], answer["endpointId"]) == (correlation_id, endpoint_id)
    assert stage.count("answers_400") == 1


async def test_each_revision_is_answered_in_its_own(stage: Stage) -> None:
    plain = await stage.raw(Get(flag=None).encode(), revision=1)
    newest = await stage.raw(Get().encode())
    assert plain["payload"] == newest["payload"]
    assert "eTag" not in plain
    assert newest["eTag"] == '"7"'
    assert stage.count("hits") == 1, "all revisions are served from one entry"


@pytest.mark.parametrize("path", PATHS)
async def test_a_plain_request_is_of_revision_2_where_that_is_set(
    path: dict[str, Any], nats_server: NatsServer, store: Store, instance_name: str
) -> None:
    more = {**path, "responder": {"plain_revision": 2}}
    settings = settings_of(nats_server.url, store.uri, store.database, instance_name, **more)
    async with serving(settings), connected(nats_server.url) as peer:
        for _ in ("loaded", "a hit"):
            plain = response((await ask_raw(peer, instance_name, Get(flag=None).encode())).data, revision=2)
            assert (plain["statusCode"], plain["eTag"]) == (200, '"7"')
            assert "appVersionName" not in plain
            newest = await ask(peer, instance_name)
            assert (newest["eTag"], newest["appVersionName"]) == ('"7"', "a-v1")
            assert plain["payload"] == newest["payload"]
        unknown = Get(flag=None, endpoint_id="none").encode()
        assert response((await ask_raw(peer, instance_name, unknown)).data, revision=2)["statusCode"] == 404


async def test_what_has_expired_is_not_answered(stage: Stage) -> None:
    inbox = stage.peer.new_inbox()
    replies = await stage.peer.subscribe(inbox)
    subject = subjects.metadata_get_request(stage.instance)
    now = time.time_ns() // 1_000_000
    await stage.peer.publish(subject, Get(timestamp=now - 10_000, timeout=100).encode(), reply=inbox)
    await stage.get()
    assert stage.count("requests_expired") == 1
    await stage.peer.publish(subject, Get(timestamp=now, timeout=60_000).encode(), reply=inbox)
    assert response((await replies.next_msg(timeout=10)).data)["statusCode"] == 200
    assert replies.pending_msgs == 0


async def test_who_cannot_be_answered_is_counted(stage: Stage) -> None:
    await stage.peer.publish(subjects.metadata_get_request(stage.instance), GOOD)
    await stage.get()
    assert stage.count("requests_no_reply") == 1
    assert stage.count("answers_200") == 1


async def test_the_cache_is_seen_to_be_one(stage: Stage) -> None:
    """A write without an event is not seen, one with an event at once."""
    await stage.get()
    stage.store.put("e-1", version=8, model="m2")
    assert (await stage.get())["eTag"] == '"7"'
    assert stage.count("hits") == 1
    event = subjects.metadata_updated("somebody")
    await stage.peer.publish(event, event_payload(Kind.METADATA_UPDATED, "e-1"))
    await stage.peer.flush()
    await until(lambda: stage.count("invalidations_metadata_updated") == 1)
    answer = await stage.get()
    assert (answer["eTag"], answer["payload"]) == ('"8"', b'{"model":"m2"}')


# --- the store is away
@pytest.fixture
def own_mongod(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = start_mongod(tmp_path_factory.mktemp("own-mongo"))
    yield server
    server.stop()


@needs_rust
@pytest.mark.faults
async def test_a_store_that_is_away(nats_server: NatsServer, own_mongod: MongoServer) -> None:
    """Three services at once, one a path, over the same outage."""
    store = Store(own_mongod.uri, "epr")
    store.put("e-1", version=7, model="m1")
    store.put("e-2", version=1, model="m2")
    limits = {"timeout": 0.5, "probe_interval": 0.1}
    async with connected(nats_server.url) as peer:
        stages: list[Stage] = []
        contexts = []
        for number, path in enumerate((FAST, CALLBACKS, PURE)):
            instance = f"away{number}"
            settings = settings_of(nats_server.url, store.uri, store.database, instance, store=limits, **path)
            context = serving(settings)
            stages.append(Stage(await context.__aenter__(), store, peer, instance))
            contexts.append(context)
        try:
            await _outage(stages, own_mongod)
            assert [stage.service.loader.stats().up for stage in stages] == [True] * 3
        finally:
            for context in contexts:
                await context.__aexit__(None, None, None)
            store.close()


async def _outage(stages: list[Stage], mongod: MongoServer) -> None:
    for stage in stages:
        assert (await stage.get())["statusCode"] == 200
    mongod.kill()
    for stage in stages:
        begun = time.monotonic()
        answers = await asyncio.gather(*(stage.get("e-2") for _ in range(20)), stage.get("e-1"))
        assert time.monotonic() - begun < 2.0
        assert [one["statusCode"] for one in answers] == [503] * 20 + [200]
        assert answers[0]["reasonPhrase"] == "Endpoint store is unavailable"
        await until(stage.lacks_its_store)
    mongod.start()
    for stage in stages:
        await until(stage.loads, "the store is back", 30)


@pytest.mark.parametrize("path", PATHS)
async def test_too_many_waiting_and_expiry_while_waiting(
    path: dict[str, Any], nats_server: NatsServer, instance_name: str
) -> None:
    """A store that takes connections and says nothing keeps every get waiting until ``store.timeout``."""
    async with _mute_store() as port, connected(nats_server.url) as peer:
        settings = settings_of(
            nats_server.url,
            f"mongodb://127.0.0.1:{port}/?directConnection=true",
            "epr",
            instance_name,
            responder={"max_pending": 3},
            store={"timeout": 2.0},
            **path,
        )
        async with serving(settings) as service:
            stage = Stage(service, None, peer, instance_name)  # type: ignore[arg-type]
            inbox = peer.new_inbox()
            replies = await peer.subscribe(inbox)
            now = time.time_ns() // 1_000_000
            soon = Get(correlation_id="soon", timestamp=now, timeout=1500).encode()
            subject = subjects.metadata_get_request(instance_name)
            await peer.publish(subject, soon, reply=inbox)
            waiting = [asyncio.ensure_future(stage.get(f"e-{number}")) for number in range(2)]
            await until(lambda: service.engine.pending() == 3)
            refused = await stage.get("e-9")
            assert (refused["statusCode"], refused["reasonPhrase"]) == (503, "Too many requests are waiting")
            answers = await asyncio.gather(*waiting)
            assert {one["reasonPhrase"] for one in answers} == {"Endpoint store is unavailable"}
            await until(lambda: stage.count("requests_expired") == 1)
            assert replies.pending_msgs == 0


class _mute_store:  # noqa: N801 used as a function
    """A port of loopback that takes connections and never answers."""

    async def __aenter__(self) -> int:
        self._writers: list[asyncio.StreamWriter] = []

        async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.append(writer)

        self._server = await asyncio.start_server(accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
