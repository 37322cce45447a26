"""The change stream as the second witness: a service, a real mongod, and writers that publish nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from bson import Int64
from nats.aio.client import Client as NatsClient
from pymongo import MongoClient
from structlog.testing import capture_logs

from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.engine.api import Kind
from kaa_epr.messages import subjects
from kaa_epr.mongo.options import APP_NAME
from kaa_epr.responder.witness.reader import ChangeStreamReader
from kaa_epr.service import Service
from tests.nats.harness import Store, ask, connected, count, serving, settings_of
from tests.property.messages import event_payload
from tests.property.support import needs_rust
from tests.support.waiting import kept, until

RUST: dict[str, Any] = {"engine": "rust"}
PURE: dict[str, Any] = {"engine": "pure"}
PATIENCE = 30.0


class Stage:
    """One service with a change stream, its store, and somebody who asks."""

    def __init__(self, service: Service, store: Store, peer: NatsClient, instance: str) -> None:
        assert service.witness.reader is not None
        self.service = service
        self.reader: ChangeStreamReader = service.witness.reader
        self.store = store
        self.peer = peer
        self.instance = instance

    async def tag(self, endpoint_id: str = "e-1") -> str | int:
        """The eTag that a get is answered with, or the status."""
        answer = await ask(self.peer, self.instance, endpoint_id)
        tag = answer["eTag"]
        return int(answer["statusCode"]) if tag is None else str(tag)

    async def write(self, change: Callable[[], object], told: int = 1) -> None:
        """Changes the store, and waits until the stream has told of that."""
        wanted = self.reader.changes + told
        await asyncio.to_thread(change)
        await until(lambda: self.reader.changes >= wanted, "the change is told", PATIENCE)

    async def open(self) -> None:
        """Waits until the stream is open."""
        await until(lambda: self.reader.problem is None, "the stream is open", PATIENCE)


@asynccontextmanager
async def staged(
    nats: NatsServer, mongod: MongoServer, database: str, instance: str, **groups: Any
) -> AsyncIterator[Stage]:
    store = Store(mongod.uri, database)
    groups = {"invalidation": {"change_stream": True}, **groups}
    settings = settings_of(nats.url, mongod.uri, database, instance, **groups)
    async with serving(settings) as service, connected(nats.url) as peer:
        stage = Stage(service, store, peer, instance)
        await stage.open()
        yield stage
    store.close()


@pytest.fixture(params=[pytest.param(RUST, id="rust", marks=needs_rust), pytest.param(PURE, id="pure")])
def engine(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["motor", "pymongo"])
def driver(request: pytest.FixtureRequest) -> Any:
    return {"mongo": {"driver": request.param}}


@pytest.fixture
async def stage(
    engine: Any,
    driver: Any,
    nats_server: NatsServer,
    mongod: MongoServer,
    mongo_database: str,
    instance_name: str,
) -> AsyncIterator[Stage]:
    mongo = {"uri": mongod.uri, "database": mongo_database, **driver["mongo"]}
    groups = {**engine, "mongo": mongo}
    async with staged(nats_server, mongod, mongo_database, instance_name, **groups) as stage:
        yield stage


async def test_the_next_get_sees_what_a_silent_writer_wrote(stage: Stage) -> None:
    collection = stage.store.collection
    one = {"_id": "e-1"}
    assert await stage.tag() == 404
    await stage.write(lambda: stage.store.put("e-1", version=1, n=1))
    assert await stage.tag() == '"1"'
    await stage.write(lambda: stage.store.put("e-1", version=2, n=2))
    assert await stage.tag() == '"2"'
    changes: list[tuple[dict[str, Any], str | int]] = [
        ({"$set": {"metadata.0.value": 3}, "$inc": {"version": 1}}, '"3"'),
        ({"$set": {"metadata.0.value": 4}, "$unset": {"version": 1}}, 200),
        ({"$set": {"version": Int64(9)}}, '"9"'),
        ({"$set": {"deleted_at": 1, "version": Int64(10)}}, 404),
    ]
    for change, expected in changes:
        hits = count(stage.service, "hits") + count(stage.service, "unknown_hits")
        await stage.tag()
        assert count(stage.service, "hits") + count(stage.service, "unknown_hits") == hits + 1
        await stage.write(lambda change=change: collection.update_one(one, change))  # type: ignore[misc]
        assert await stage.tag() == expected
    await stage.write(lambda: collection.delete_one(one))
    assert await stage.tag() == 404
    assert count(stage.service, "stale_suspected") >= 5
    assert count(stage.service, "flushes_witness_lost") == 0


async def test_what_the_register_does_behind_its_events_costs_nothing(stage: Stage) -> None:
    await stage.write(lambda: stage.store.put("e-1", version=1))
    collection = stage.store.collection
    collection.update_one({"_id": "e-1"}, {"$set": {"version": 2, "outbox": [1]}})
    await stage.write(lambda: stage.store.put("e-2", version=1), told=2)
    assert await stage.tag() == '"2"'
    collection.update_one({"_id": "e-1"}, {"$unset": {"outbox": 1}})
    await stage.write(lambda: stage.store.put("e-3", version=1))
    hits = count(stage.service, "hits")
    assert await stage.tag() == '"2"'
    assert count(stage.service, "hits") == hits + 1


async def test_the_end_of_the_collection_drops_the_cache(stage: Stage) -> None:
    await stage.write(lambda: stage.store.put("e-1", version=1))
    assert await stage.tag() == '"1"'
    stage.store.collection.drop()
    await until(lambda: stage.reader.restarts == 1 and stage.reader.problem is None, "open again", PATIENCE)
    flushes = [count(stage.service, f"flushes_{cause}") for cause in ("collection_ended", "witness_lost")]
    assert flushes == [1, 1], "when it ended, and when the stream was open again"
    assert await stage.tag() == 404
    await stage.write(lambda: stage.store.put("e-1", version=1))
    assert await stage.tag() == '"1"'
    assert stage.reader.restarts == 1


async def test_metrics_and_information_tell_of_it(stage: Stage) -> None:
    await stage.write(lambda: stage.store.put("e-1", version=1))
    lines = stage.service.metrics.render().decode().splitlines()
    assert 'kaa_epr_change_stream{state="open",worker="0"} 1.0' in lines
    assert 'kaa_epr_change_stream{state="off",worker="0"} 0.0' in lines
    assert 'kaa_epr_change_stream_changes_total{worker="0"} 1.0' in lines
    assert stage.service.info()["change_stream"] == "open"
    assert stage.service.health.report().status == "UP"
    assert stage.reader.answer_age_ms < 10_000
    assert stage.reader.behind_seconds < 10


# --- interruptions ------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A mongod that may be told to fail, be stopped and killed."""
    options = ("--setParameter", "enableTestCommands=1")
    with MongoServer(tmp_path_factory.mktemp("mongo"), options=options) as server:
        yield server


@pytest.fixture
async def shaky(
    driver: Any, faulty: MongoServer, nats_server: NatsServer, instance_name: str
) -> AsyncIterator[Stage]:
    mongo = {"uri": faulty.uri, "database": instance_name, **driver["mongo"]}
    async with staged(nats_server, faulty, instance_name, instance_name, mongo=mongo) as stage:
        yield stage


def fail(server: MongoServer, commands: list[str], mode: Any, **data: Any) -> None:
    """Makes such commands of ours fail."""
    data |= {"failCommands": commands, "appName": APP_NAME}
    with MongoClient[dict[str, Any]](server.uri) as client:
        client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})


async def resumed(stage: Stage, resumes: int) -> None:
    await until(lambda: stage.reader.resumes >= resumes, "the stream goes on", PATIENCE)
    await stage.open()


async def test_what_changed_in_a_gap_is_told_after_it(shaky: Stage, faulty: MongoServer) -> None:
    await shaky.write(lambda: shaky.store.put("e-1", version=1))
    assert await shaky.tag() == '"1"'
    fail(faulty, ["getMore", "aggregate"], "alwaysOn", closeConnection=True)
    await until(lambda: shaky.reader.problem is not None, "interrupted", PATIENCE)
    report = shaky.service.health.report()
    assert (report.status, report.ready) == ("DEGRADED", True)
    assert report.reasons["change_stream"]
    told = shaky.reader.changes
    shaky.store.put("e-1", version=2)
    fail(faulty, [], "off")
    await resumed(shaky, 1)
    await until(lambda: shaky.reader.changes > told, "the change in the gap", PATIENCE)
    assert await shaky.tag() == '"2"'
    assert (shaky.reader.restarts, count(shaky.service, "flushes_witness_lost")) == (0, 0)


async def test_a_lost_position_drops_the_cache_and_begins_anew(shaky: Stage, faulty: MongoServer) -> None:
    await shaky.write(lambda: shaky.store.put("e-1", version=1))
    assert await shaky.tag() == '"1"'
    with capture_logs() as lines:
        fail(faulty, ["getMore"], {"times": 1}, errorCode=286)
        await until(lambda: shaky.reader.restarts == 1, "anew", PATIENCE)
        await shaky.open()
    assert any("oplog does not reach back" in line.get("reason", "") for line in lines)
    assert count(shaky.service, "flushes_witness_lost") == 2
    loads = count(shaky.service, "loads")
    assert await shaky.tag() == '"1"'
    assert count(shaky.service, "loads") == loads + 1
    await shaky.write(lambda: shaky.store.put("e-1", version=2))
    assert await shaky.tag() == '"2"'


async def test_a_stepdown_costs_no_change(shaky: Stage, faulty: MongoServer) -> None:
    await shaky.write(lambda: shaky.store.put("e-1", version=1))
    with MongoClient[dict[str, Any]](faulty.uri) as client:
        client.admin.command({"replSetStepDown": 1, "force": True})
    await shaky.write(lambda: shaky.store.put("e-1", version=2))
    assert await shaky.tag() == '"2"'
    assert shaky.reader.restarts == 0


@pytest.mark.faults
async def test_a_killed_mongod_costs_no_change(
    driver: Any, nats_server: NatsServer, instance_name: str, tmp_path: Path
) -> None:
    with MongoServer(tmp_path) as server:
        mongo = {"uri": server.uri, "database": "epr", **driver["mongo"]}
        async with staged(nats_server, server, "epr", instance_name, mongo=mongo) as stage:
            await stage.write(lambda: stage.store.put("e-1", version=1))
            assert await stage.tag() == '"1"'
            server.kill()
            await until(lambda: stage.reader.problem is not None, "interrupted", PATIENCE)
            await kept(server.start)
            await stage.write(lambda: stage.store.put("e-1", version=2))
            await resumed(stage, 1)
            assert await stage.tag() == '"2"'
            assert stage.reader.restarts == 0


@needs_rust
async def test_a_hanging_mongod_is_left_and_returned_to(shaky: Stage, faulty: MongoServer) -> None:
    await shaky.write(lambda: shaky.store.put("e-1", version=1))
    os.kill(faulty.process.pid, signal.SIGSTOP)
    try:
        await until(lambda: shaky.reader.problem is not None, "interrupted", PATIENCE)
    finally:
        os.kill(faulty.process.pid, signal.SIGCONT)
    await resumed(shaky, 1)
    await shaky.write(lambda: shaky.store.put("e-1", version=2))
    assert shaky.reader.restarts == 0


# --- what was cached before ---------------------------------------------------------------------------------
async def test_what_was_cached_before_the_stream_was_open_is_dropped(
    faulty: MongoServer, nats_server: NatsServer, instance_name: str
) -> None:
    store = Store(faulty.uri, instance_name)
    store.put("e-1", version=1)
    settings = settings_of(
        nats_server.url, faulty.uri, instance_name, instance_name, invalidation={"change_stream": True}
    )
    fail(faulty, ["aggregate"], "alwaysOn", errorCode=13)
    async with serving(settings) as service, connected(nats_server.url) as peer:
        stage = Stage(service, store, peer, instance_name)
        assert await stage.tag() == '"1"'
        store.put("e-1", version=2)
        assert await stage.tag() == '"1"', "nobody has told of it"
        assert stage.reader.problem is not None
        fail(faulty, [], "off")
        await stage.open()
        assert count(service, "flushes_witness_lost") == 1
        assert await stage.tag() == '"2"'
        assert (stage.reader.resumes, stage.reader.restarts) == (0, 0)
    store.close()


async def test_an_operators_flush_lets_versions_go_back(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str, engine: Any
) -> None:
    store = Store(mongod.uri, mongo_database)
    store.put("e-1", version=5)
    groups = {**engine, "management": {"enabled": True, "port": 0}}
    settings = settings_of(nats_server.url, mongod.uri, mongo_database, instance_name, **groups)
    async with serving(settings) as service, connected(nats_server.url) as peer:
        event = event_payload(Kind.METADATA_UPDATED, "e-1")
        await peer.publish(subjects.metadata_updated("x"), event, headers={"Kaa-Epr-Version": "5"})
        await until(lambda: count(service, "floors") == 1, "the event is heard")
        store.put("e-1", version=3)  # as from a backup
        assert (await ask(peer, instance_name))["statusCode"] == 503
        async with httpx.AsyncClient(trust_env=False) as client:
            management = (await service.wait_ready()).management
            assert (await client.post(f"{management}/flush")).status_code == 200
        assert (await ask(peer, instance_name))["eTag"] == '"3"'
        assert (count(service, "flushes_operator"), count(service, "floors")) == (1, 0)
    store.close()
