"""The scrubber with real parts: an engine, a driver and mongod, and entries that somebody made stale."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bson import Int64
from structlog.testing import capture_logs

from kaa_epr import clock
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.engine import select
from kaa_epr.engine.api import Engine, EngineConfig, FlushCause, Kind
from kaa_epr.mongo import Store
from kaa_epr.responder.witness.scrubber import MAX_SUSPECTS, Scrubber
from tests.nats.harness import Store as Documents
from tests.nats.harness import ask, connected, count, serving, settings_of
from tests.property.messages import Get, event_payload
from tests.property.support import each_engine, needs_rust
from tests.support.waiting import until

TIME_LIMIT = 10.0


class Bench:
    """An engine that serves, its store, and a scrubber that is driven round by round."""

    def __init__(self, make: str, store: Store) -> None:
        self.engine: Engine = select(make, EngineConfig(foreign_settle_ms=0))  # type: ignore[arg-type]
        self.engine.link_up(max_payload=1 << 20, headers=True, cluster=False, **now())
        self.engine.ears(True, clock.mono_ms())
        self.store = store
        self.is_up = True
        self.scrubber = Scrubber(
            self.engine, store, 1000, TIME_LIMIT, store_up=lambda: self.is_up, event_seconds=0
        )

    async def cache(self, *ids: str) -> None:
        """Loads endpoints."""
        wall_ms, mono_ms = clock.wall_ms(), clock.mono_ms()
        for id_ in ids:
            payload = Get(endpoint_id=id_).encode()
            self.engine.get("reply", b"", payload, fresh=False, wall_ms=wall_ms, mono_ms=mono_ms)
        load, taken = self.engine.begin_load(len(ids), clock.mono_ms()) or (0, [])
        self.engine.end_load(load, await self.store.load(taken, TIME_LIMIT), **now())
        assert len(self.engine.cached(ids)) == len(ids)

    async def rounds(self, number: int) -> tuple[int, int, int]:
        """Scrubs; how many were suspected, cleared and proven in all."""
        for _ in range(number):
            await self.scrubber.scrub()
        return self.scrubber.suspected, self.scrubber.cleared, self.scrubber.proven


def now() -> dict[str, int]:
    return {"wall_ms": clock.wall_ms(), "mono_ms": clock.mono_ms()}


@each_engine
async def test_an_entry_that_no_event_drops_is_suspected_and_then_proven(
    make: str, store: Store, collection: Any
) -> None:
    collection.insert_many([{"_id": id_, "version": 1, "metadata": {"k": "secret"}} for id_ in "abc"])
    bench = Bench(make, store)
    await bench.cache("a", "b", "c")
    assert await bench.rounds(3) == (0, 0, 0)
    assert bench.scrubber.same == 9
    collection.update_one({"_id": "b"}, {"$set": {"version": Int64(2), "metadata.k": "secret too"}})
    assert await bench.rounds(1) == (1, 0, 0)
    assert bench.engine.cached(["b"]) == [("b", 1)], "its event may be on its way"
    with capture_logs() as lines:
        assert await bench.rounds(1) == (1, 0, 1)
    assert bench.engine.cached(["a", "b", "c"]) == [("a", 1), ("c", 1)]
    assert bench.engine.stats()["stale_proven"] == 1
    (line,) = lines
    assert (line["endpoint_id"], line["cached_version"], line["stored_version"]) == ("b", 1, 2)
    assert "secret" not in str(lines)
    await bench.cache("b")
    assert await bench.rounds(3) == (1, 0, 1)
    assert bench.engine.cached(["b"]) == [("b", 2)]


@each_engine
async def test_an_event_in_time_clears_the_suspicion(make: str, store: Store, collection: Any) -> None:
    collection.insert_many([{"_id": id_, "version": 1} for id_ in "abc"])
    bench = Bench(make, store)
    await bench.cache("a", "b", "c")
    collection.update_many({}, {"$set": {"version": 2}})
    assert await bench.rounds(1) == (3, 0, 0)
    for id_ in "ab":
        payload = event_payload(Kind.METADATA_UPDATED, id_)
        bench.engine.event(Kind.METADATA_UPDATED, b"", payload, clock.mono_ms())
    await bench.cache("b")
    assert await bench.rounds(1) == (3, 2, 1)
    assert bench.engine.stats()["stale_proven"] == 1


@each_engine
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: c.delete_one({"_id": "a"}), id="deleted"),
        pytest.param(lambda c: c.update_one({"_id": "a"}, {"$set": {"deleted_at": 1}}), id="tombstone"),
        pytest.param(lambda c: c.update_one({"_id": "a"}, {"$set": {"version": 4}}), id="set back"),
        pytest.param(lambda c: c.update_one({"_id": "a"}, {"$unset": {"version": 1}}), id="no version"),
        pytest.param(lambda c: c.update_one({"_id": "a"}, {"$set": {"metadata": 1}}), id="unusable"),
    ],
)
async def test_whatever_differs_is_found(make: str, store: Store, collection: Any, change: Any) -> None:
    collection.insert_one({"_id": "a", "version": 7})
    bench = Bench(make, store)
    await bench.cache("a")
    change(collection)
    assert await bench.rounds(2) == (1, 0, 1)
    assert bench.engine.cached(["a"]) == []


@each_engine
@pytest.mark.parametrize("version", [{}, {"version": 7}])
async def test_what_changes_without_its_version_is_found(
    make: str, store: Store, collection: Any, version: dict[str, int]
) -> None:
    collection.insert_one({"_id": "a", **version})
    bench = Bench(make, store)
    await bench.cache("a")
    assert await bench.rounds(2) == (0, 0, 0)
    collection.update_one({"_id": "a"}, {"$set": {"metadata.k": 1}})
    assert await bench.rounds(2) == (1, 0, 1)
    assert bench.engine.cached(["a"]) == []
    await bench.cache("a")
    assert await bench.rounds(2) == (1, 0, 1)


@each_engine
async def test_only_the_same_entry_is_proven_stale(make: str, store: Store, collection: Any) -> None:
    collection.insert_one({"_id": "a"})
    bench = Bench(make, store)
    await bench.cache("a")
    collection.update_one({"_id": "a"}, {"$set": {"metadata.k": 1}})
    assert await bench.rounds(1) == (1, 0, 0)
    bench.engine.event(Kind.METADATA_UPDATED, b"", event_payload(Kind.METADATA_UPDATED, "a"), clock.mono_ms())
    await bench.cache("a")
    collection.update_one({"_id": "a"}, {"$set": {"metadata.k": 2}})
    assert await bench.rounds(1) == (1, 1, 0), "another one is there now"


@each_engine
async def test_nothing_is_judged_while_nothing_may_be_served(
    make: str, store: Store, collection: Any
) -> None:
    collection.insert_one({"_id": "a", "version": 1})
    bench = Bench(make, store)
    await bench.cache("a")
    collection.update_one({"_id": "a"}, {"$set": {"version": 2}})
    assert await bench.rounds(1) == (1, 0, 0)
    bench.engine.flush(FlushCause.HOLE)
    assert await bench.rounds(1) == (1, 1, 0)
    bench.engine.link_down()
    assert await bench.rounds(2) == (1, 1, 0)


@needs_rust
async def test_suspects_are_bounded(store: Store, collection: Any) -> None:
    collection.insert_many([{"_id": f"e{i}", "version": 1} for i in range(2 * MAX_SUSPECTS)])
    bench = Bench("rust", store)
    await bench.cache(*(f"e{i}" for i in range(2 * MAX_SUSPECTS)))
    collection.update_many({}, {"$set": {"version": 2}})
    bench.scrubber._event_ms = 3_600_000
    suspected, cleared, proven = await bench.rounds(10)
    assert 1000 < suspected <= MAX_SUSPECTS
    assert (cleared, proven) == (0, 0)


@needs_rust
async def test_a_served_stale_entry_is_found_and_dropped_by_itself(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str
) -> None:
    documents = Documents(mongod.uri, mongo_database)
    documents.put("e-1", version=1)
    scrubbing = {"scrub_per_second": 10}
    settings = settings_of(nats_server.url, mongod.uri, mongo_database, instance_name, invalidation=scrubbing)
    async with serving(settings) as service, connected(nats_server.url) as peer:
        assert (await ask(peer, instance_name))["eTag"] == '"1"'
        scrubber = service.witness.scrubber
        assert scrubber is not None
        documents.put("e-1", version=2)  # and publishes nothing
        await until(lambda: scrubber.suspected == 1, "suspected")
        assert (await ask(peer, instance_name))["eTag"] == '"1"'
        await until(lambda: count(service, "stale_proven") == 1, "proven")
        assert (await ask(peer, instance_name))["eTag"] == '"2"'
        text = service.metrics.render().decode()
        assert 'kaa_epr_scrubbed_entries_total{outcome="proven",worker="0"} 1.0' in text
    documents.close()


async def test_the_store_is_left_alone_while_it_is_down(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str
) -> None:
    documents = Documents(mongod.uri, mongo_database)
    documents.put("e-1", version=1)
    settings = settings_of(
        nats_server.url, mongod.uri, mongo_database, instance_name, invalidation={"scrub_per_second": 1000}
    )
    async with serving(settings) as service, connected(nats_server.url) as peer:
        scrubber = service.witness.scrubber
        assert scrubber is not None
        asked = asyncio.Event()

        def is_down() -> bool:
            asked.set()
            return False

        scrubber._store_up = is_down
        assert (await ask(peer, instance_name))["eTag"] == '"1"'
        asked.clear()
        async with asyncio.timeout(TIME_LIMIT):
            await asked.wait()
        assert (scrubber.same, scrubber.suspected) == (0, 0)
        scrubber._store_up = lambda: True
        await until(lambda: scrubber.same, "looks again when the store is back")
    documents.close()
