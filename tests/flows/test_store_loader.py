"""Flow 2 with real parts: engine, loader, breaker, driver and mongod, some of them failing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from structlog.testing import capture_logs

from kaa_epr import clock
from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings
from kaa_epr.embedded import MongoServer
from kaa_epr.engine import select
from kaa_epr.engine.api import EngineConfig
from kaa_epr.mongo import Store, open_store
from kaa_epr.mongo.options import APP_NAME
from kaa_epr.responder import BreakerState, Loader
from tests.property.messages import Get
from tests.property.support import RUST, answers
from tests.support.waiting import until

ENGINES = [
    "pure",
    pytest.param("rust", marks=pytest.mark.skipif(not RUST, reason="the extension is not built")),
]
PATIENCE = 30.0
"""Seconds after which a test gives up waiting."""


def write_into(queue: asyncio.Queue[dict[str, Any]]) -> Callable[[bytes], None]:
    def write(out: bytes) -> None:
        for answer in answers(out):
            queue.put_nowait(answer)

    return write


class Desk:
    """An engine with a loader, and the answers that come out."""

    def __init__(self, engine: str, store: Store, settings: StoreSettings) -> None:
        self.engine = select(engine, EngineConfig(store_timeout_ms=round(settings.timeout * 1000)))  # type: ignore[arg-type]
        now = {"wall_ms": clock.wall_ms(), "mono_ms": clock.mono_ms()}
        self.engine.link_up(max_payload=1 << 20, headers=True, cluster=False, **now)
        self.engine.ears(True, clock.mono_ms())
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._written = write_into(self._answers)
        self.store = store
        self.new_primary = new_primaries_of(store)
        self.loader = Loader(self.engine, store, settings, self._written)
        self.loader.start()
        self._number = 0

    def get(self, endpoint_id: str) -> None:
        """One request; its answer comes by ``answer``."""
        self._number += 1
        payload = Get(correlation_id=str(self._number), endpoint_id=endpoint_id).encode()
        wall_ms, mono_ms = clock.wall_ms(), clock.mono_ms()
        queued = self.engine.get("reply", b"", payload, fresh=False, wall_ms=wall_ms, mono_ms=mono_ms)
        if out := self.engine.take_output():
            self._written(out)
        if queued:
            self.loader.kick()

    async def answer(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            return await self._answers.get()

    async def status(self, endpoint_id: str) -> int:
        """What one request is answered with."""
        self.get(endpoint_id)
        answer = await self.answer()
        assert answer["endpointId"] == endpoint_id
        assert answer["correlationId"] == str(self._number)
        return int(answer["statusCode"])

    def no_more_answers(self) -> bool:
        return self._answers.empty()

    async def until_up(self) -> None:
        """Waits until loads run again."""
        await until(lambda: self.loader.state is BreakerState.CLOSED, "the store is back", PATIENCE)

    async def until_loaded(self, endpoint_id: str) -> None:
        """Asks until the store, which has just come back, is quick enough again for its time limit."""

        async def loaded() -> bool:
            return await self.status(endpoint_id) == 200

        await until(loaded, f"{endpoint_id} is loaded", PATIENCE)


def new_primaries_of(store: Store) -> asyncio.Event:
    """Set after the loader heard of a new primary."""
    heard, register = asyncio.Event(), store.on_primary_changed

    def register_both(callback: Callable[[], None]) -> None:
        def tell() -> None:
            callback()
            heard.set()

        register(tell)

    store.on_primary_changed = register_both  # type: ignore[method-assign]
    return heard


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A mongod that may be told to fail, be stopped and killed."""
    options = ("--setParameter", "enableTestCommands=1")
    with MongoServer(tmp_path_factory.mktemp("mongo"), options=options) as server:
        yield server


@pytest.fixture
def admin(server: MongoServer) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](server.uri) as client:
        client.drop_database("epr")
        client.epr.endpoints.insert_many(
            [{"_id": f"e{i}", "metadata": [{"key": "n", "value": i}], "version": 1} for i in range(100)]
        )
        yield client
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def limits(timeout: float) -> StoreSettings:
    return StoreSettings(timeout=timeout, max_loads=2, batch_size=10, probe_interval=0.2)


@pytest.fixture
def settings() -> StoreSettings:
    """Patient: on a busy machine a load may take long. Tests of the time limit set one of their own."""
    return limits(timeout=10.0)


hasty = pytest.mark.parametrize("settings", [limits(timeout=1.0)], ids=["hasty"])


@pytest.fixture
async def desk(
    engine: str, driver: Any, server: MongoServer, admin: object, settings: StoreSettings
) -> AsyncIterator[Desk]:
    store = open_store(MongoSettings(uri=server.uri, driver=driver), settings)
    await store.ping(PATIENCE)
    desk = Desk(engine, store, settings)
    yield desk
    await desk.loader.stop()
    await store.close()


def slow(admin: MongoClient[dict[str, Any]], finds: int, milliseconds: int) -> None:
    """Holds back the next ``finds`` finds of ours."""
    data = {"failCommands": ["find"], "appName": APP_NAME, "blockConnection": True}
    admin.admin.command(
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": finds},
            "data": data | {"blockTimeMS": milliseconds},
        }
    )


async def test_a_miss_is_loaded_and_then_a_hit(desk: Desk, admin: MongoClient[dict[str, Any]]) -> None:
    assert await desk.status("e7") == 200
    assert await desk.status("nobody") == 404
    admin.epr.endpoints.delete_many({})
    await until(lambda: desk.loader.in_flight == 0, "the end of what was answered already")
    assert await desk.status("e7") == 200
    assert desk.engine.stats()["loads"] == 2
    assert desk.loader.stats().up
    assert desk.loader.in_flight == 0  # the last get was a hit


async def test_misses_gather_while_the_store_is_busy(desk: Desk, admin: MongoClient[dict[str, Any]]) -> None:
    slow(admin, finds=2, milliseconds=300)
    for i in range(25):
        desk.get(f"e{i}")
    assert desk.loader.in_flight == 2
    found = [await desk.answer() for _ in range(25)]
    assert {answer["endpointId"] for answer in found} == {f"e{i}" for i in range(25)}
    assert all(answer["statusCode"] == 200 for answer in found)
    # Two went out alone at once; the other 23 left in tens as soon as there was room.
    assert desk.engine.stats()["loads"] == 5


@pytest.mark.parametrize("settings", [StoreSettings(timeout=10.0, max_loads=4, batch_size=10)])
async def test_a_third_load_begins_with_a_full_batch(desk: Desk, admin: MongoClient[dict[str, Any]]) -> None:
    slow(admin, finds=3, milliseconds=500)
    for i in range(11):
        desk.get(f"e{i}")
    assert desk.loader.in_flight == 2, "two alone, and nine that wait"
    desk.get("e11")
    assert desk.loader.in_flight == 3
    assert {(await desk.answer())["statusCode"] for _ in range(12)} == {200}
    assert desk.engine.stats()["loads"] == 3


@pytest.mark.parametrize("settings", [StoreSettings(timeout=10.0, max_loads=4, batch_size=10)])
async def test_misses_do_not_wait_for_a_full_batch_behind_loads_that_hang(
    desk: Desk, admin: MongoClient[dict[str, Any]]
) -> None:
    slow(admin, finds=2, milliseconds=1_500)
    desk.get("e1")
    desk.get("e2")
    assert await desk.status("e3") == 200, "the first answer, though the others were asked before"
    assert {(await desk.answer())["endpointId"] for _ in range(2)} == {"e1", "e2"}


async def test_an_unusable_document_harms_no_other_and_is_logged(
    desk: Desk, admin: MongoClient[dict[str, Any]]
) -> None:
    broken = bson.encode({"_id": "broken", "metadata": {"k": "secretXX"}}).replace(b"XX", b"\xff\xff")
    admin.epr.get_collection("endpoints", bson.CodecOptions(document_class=RawBSONDocument)).insert_one(
        RawBSONDocument(broken)
    )
    slow(admin, finds=2, milliseconds=100)
    with capture_logs() as lines:
        for endpoint_id in ("e1", "e2", "e3", "broken", "e4"):
            desk.get(endpoint_id)
        found = [await desk.answer() for _ in range(5)]
        assert await desk.status("broken") == 500
    statuses = {answer["endpointId"]: answer["statusCode"] for answer in found}
    assert statuses == {"e1": 200, "e2": 200, "e3": 200, "e4": 200, "broken": 500}
    told = [line for line in lines if line["event"] == "stored endpoints are unusable"]
    assert [line["endpoint_ids"] for line in told] == [["broken"]]
    assert "secret" not in str(lines)


@hasty
async def test_a_late_load_is_answered_503_in_time_and_the_store_recovers(
    desk: Desk, admin: MongoClient[dict[str, Any]], settings: StoreSettings
) -> None:
    assert await desk.status("e1") == 200
    slow(admin, finds=1, milliseconds=2500)
    with capture_logs() as lines:
        began = asyncio.get_running_loop().time()
        assert await desk.status("e2") == 503
        assert settings.timeout <= asyncio.get_running_loop().time() - began < settings.timeout + 0.5
        assert await desk.status("e1") == 200
        # The get was answered at its own deadline; the load was given up at one of its own, a tick away.
        await until(lambda: desk.loader.stats().trips == 1)
        await desk.until_up()
    await desk.until_loaded("e2")
    events = [line["event"] for line in lines]
    assert events.count("the store is down: misses are answered 503") == 1
    assert events.count("the store is back") == 1
    assert desk.no_more_answers()


@pytest.mark.parametrize("settings", [limits(timeout=2.0)], ids=["2 s"])
async def test_the_queue_and_a_slow_load_take_no_longer_than_the_time_limit_together(
    desk: Desk, admin: MongoClient[dict[str, Any]], settings: StoreSettings
) -> None:
    slow(admin, finds=3, milliseconds=1400)
    began = asyncio.get_running_loop().time()
    for endpoint_id in ("e1", "e2", "e3"):  # the third waits until one of two loads has ended
        desk.get(endpoint_id)
    found = {answer["endpointId"]: answer["statusCode"] for answer in [await desk.answer() for _ in range(3)]}
    assert found == {"e1": 200, "e2": 200, "e3": 503}
    assert settings.timeout <= asyncio.get_running_loop().time() - began < 2 * 1.4, (
        "before the third load ended"
    )
    assert desk.loader.in_flight == 1
    desk.get("e3")
    assert (await desk.answer())["statusCode"] == 200
    assert desk.engine.stats()["loads"] == 3, "what came too late for one came in time for the next"
    assert desk.loader.stats().trips == 0


async def test_refusals_trip_after_three_in_a_row(desk: Desk, admin: MongoClient[dict[str, Any]]) -> None:
    data = {"failCommands": ["find"], "appName": APP_NAME, "errorCode": 13}
    admin.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
    for _ in range(2):
        assert await desk.status("e1") == 503
        assert desk.loader.state is BreakerState.CLOSED
    assert await desk.status("e1") == 503
    assert desk.loader.state is not BreakerState.CLOSED
    loads = desk.engine.stats()["loads"]
    for _ in range(20):
        assert await desk.status("e1") == 503
    assert desk.engine.stats()["loads"] == loads
    admin.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    await desk.until_up()
    assert await desk.status("e1") == 200
    assert desk.loader.stats().probes >= 1


async def test_draining_waits_for_what_was_accepted(desk: Desk, admin: MongoClient[dict[str, Any]]) -> None:
    assert await desk.loader.drain(0)
    slow(admin, finds=2, milliseconds=1000)
    for i in range(25):
        desk.get(f"e{i}")
    assert not await desk.loader.drain(0.05)
    assert await desk.loader.drain(PATIENCE)
    assert [(await desk.answer())["statusCode"] for _ in range(25)] == [200] * 25


async def test_stopping_answers_what_still_waits(desk: Desk, admin: MongoClient[dict[str, Any]]) -> None:
    slow(admin, finds=2, milliseconds=500)
    desk.get("e1")
    await asyncio.sleep(0)
    desk.get("e2")  # its load has not taken a step yet
    await desk.loader.stop()
    assert [(await desk.answer())["statusCode"] for _ in range(2)] == [503, 503]
    assert desk.engine.pending() == 0


async def test_a_new_primary_flushes(desk: Desk, admin: MongoClient[dict[str, Any]]) -> None:
    assert await desk.status("e1") == 200
    admin.admin.command({"replSetStepDown": 1, "force": True})
    async with asyncio.timeout(PATIENCE):
        await desk.new_primary.wait()
    assert desk.engine.stats()["flushes_store_primary_changed"] == 1
    await desk.store.ping(PATIENCE)
    loads = desk.engine.stats()["loads"]
    assert isinstance(loads, int)
    assert await desk.status("e1") == 200
    assert desk.engine.stats()["loads"] == loads + 1


@hasty
@pytest.mark.parametrize("engine", ENGINES[-1:], indirect=True)
async def test_a_stopped_server_and_its_return(desk: Desk, server: MongoServer) -> None:
    assert await desk.status("e1") == 200
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        for i in range(10, 40):
            desk.get(f"e{i}")
        assert {(await desk.answer())["statusCode"] for _ in range(30)} == {503}
        # The gets were answered at their own deadline; the loads are given up at theirs, a tick away.
        await until(lambda: desk.loader.state is not BreakerState.CLOSED)
        loads = desk.engine.stats()["loads"]
        assert await desk.status("e50") == 503
        assert await desk.status("e1") == 200
        assert desk.engine.stats()["loads"] == loads, "answered at once, without the store"
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    await desk.until_up()
    await desk.until_loaded("e50")
    assert desk.no_more_answers()


@hasty
@pytest.mark.faults
@pytest.mark.parametrize("engine", ENGINES[-1:], indirect=True)
async def test_a_killed_server_and_its_return(
    driver: Any, engine: str, settings: StoreSettings, tmp_path: Path
) -> None:
    with MongoServer(tmp_path) as server:
        with MongoClient[dict[str, Any]](server.uri) as client:
            client.epr.endpoints.insert_many([{"_id": f"e{i}", "metadata": {"n": i}} for i in range(9)])
        store = open_store(MongoSettings(uri=server.uri, driver=driver), settings)
        await store.ping(PATIENCE)
        desk = Desk(engine, store, settings)
        assert await desk.status("e1") == 200
        server.kill()
        assert await desk.status("e2") == 503
        assert await desk.status("e1") == 200
        await asyncio.to_thread(server.start)
        await desk.until_up()
        await desk.until_loaded("e2")
        # The new process has a new term.
        await until(lambda: desk.engine.stats()["flushes_store_primary_changed"] == 1)
        assert desk.no_more_answers()
        await desk.loader.stop()
        await store.close()
