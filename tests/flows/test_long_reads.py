"""Slow lists beside loads and writes: neither waits for the other, and what nobody waits for is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from pymongo import MongoClient, UpdateOne

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings
from kaa_epr.embedded import MongoServer, NatsServer, start_mongod
from kaa_epr.mongo import open_store
from kaa_epr.mongo.errors import Effect, StoreBusy, StoreError, StoreTimeout
from kaa_epr.mongo.register_api import EndpointQuery, RegisterStore
from tests.flows.register_support import register_settings, serving
from tests.support.raw_http import connected, reset
from tests.support.waiting import until

ANY: Final = EndpointQuery()

LIMIT: Final = 30.0


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    options = ("--setParameter", "enableTestCommands=1")
    server = start_mongod(tmp_path_factory.mktemp("faulty"), options=options)
    yield server
    server.stop()


@pytest.fixture
def admin(faulty: MongoServer) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](faulty.uri) as client:
        client.epr.endpoints.drop()
        client.epr.endpoints.insert_many([{"_id": f"e-{n}"} for n in range(10)])
        yield client.admin
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@asynccontextmanager
async def opened(faulty: MongoServer, driver: Any, **more: Any) -> AsyncIterator[RegisterStore]:
    store = open_store(MongoSettings(uri=faulty.uri, driver=driver, **more), StoreSettings(timeout=LIMIT))
    try:
        yield store
    finally:
        await store.close()


def hold_back(admin: Any, command: str, seconds: float) -> None:
    """Each such command of ours from now on."""
    data = {"failCommands": [command], "appName": "kaa-epr", "blockConnection": True}
    data["blockTimeMS"] = int(seconds * 1000)
    admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})


def running(admin: Any, command: str) -> int:
    """So many are in the server now."""
    ours = {"appName": "kaa-epr", f"command.{command}": "endpoints"}
    return len(list(admin.aggregate([{"$currentOp": {}}, {"$match": ours}])))


async def test_loads_and_writes_go_on_beside_64_slow_lists(
    faulty: MongoServer, admin: Any, driver: Any
) -> None:
    async with opened(faulty, driver) as store:
        await store.ping(LIMIT)
        hold_back(admin, "count", 2.0)
        lists = [asyncio.create_task(store.count_endpoints(ANY, 100, LIMIT)) for _ in range(64)]
        await until(lambda: running(admin, "count") == 4, "as many as may run")
        for number in range(20):
            assert await store.load([f"e-{number % 10}"], 2.0)
            update = UpdateOne({"_id": "e-0"}, {"$inc": {"n": 1}})
            assert (await store.write([update], 5.0)).applied == 1
        assert not any(each.done() for each in lists[8:]), "they are still slow"
        admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        assert await asyncio.gather(*lists) == [10] * 64


async def test_lists_go_on_beside_slow_loads(faulty: MongoServer, admin: Any, driver: Any) -> None:
    async with opened(faulty, driver, max_pool_size=4) as store:
        await store.ping(LIMIT)
        hold_back(admin, "find", 3.0)
        loads = [asyncio.create_task(store.load([f"e-{n}"], LIMIT)) for n in range(4)]
        await until(lambda: running(admin, "find") == 4, "no connection is left")
        assert await store.count_endpoints(ANY, 100, 2.5) == 10
        assert not any(load.done() for load in loads)
        admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        await asyncio.gather(*loads)


async def test_so_many_may_wait_and_each_only_so_long(faulty: MongoServer, admin: Any, driver: Any) -> None:
    async with opened(faulty, driver, max_lists=1, max_waiting_lists=1) as store:
        assert await store.count_endpoints(ANY, 100, LIMIT) == 10
        hold_back(admin, "count", 3.0)
        first = asyncio.create_task(store.count_endpoints(ANY, 100, LIMIT))
        await until(lambda: running(admin, "count") == 1, "it runs")
        second = asyncio.create_task(store.count_endpoints(ANY, 100, 0.2))
        await asyncio.sleep(0)
        with pytest.raises(StoreBusy):
            await store.count_endpoints(ANY, 100, LIMIT)
        with pytest.raises(StoreTimeout) as caught:
            await second
        assert caught.value.effect is Effect.NONE
        admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        assert await first == 10
        assert await store.count_endpoints(ANY, 100, LIMIT) == 10


@pytest.mark.parametrize("gives_up", [True, False], ids=["gives up", "runs out of time"])
async def test_what_nobody_waits_for_ends_on_the_server(
    faulty: MongoServer, admin: Any, driver: Any, gives_up: bool
) -> None:
    """A place is free again as soon as the server has let go, long before the list would have ended."""
    async with opened(faulty, driver, max_lists=1) as store:
        assert await store.count_endpoints(ANY, 100, LIMIT) == 10
        hold_back(admin, "count", 60.0)
        waiting = asyncio.create_task(store.count_endpoints(ANY, 100, LIMIT if gives_up else 1.0))
        await until(lambda: running(admin, "count") == 1, "it runs")
        if gives_up:
            waiting.cancel()
        outcome = (await asyncio.gather(waiting, return_exceptions=True))[0]
        assert isinstance(outcome, asyncio.CancelledError if gives_up else StoreError)
        await until(lambda: running(admin, "count") == 0, "killed")
        admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        assert await store.count_endpoints(ANY, 100, LIMIT) == 10


async def test_a_lost_connection_costs_no_list(faulty: MongoServer, admin: Any, driver: Any) -> None:
    async with opened(faulty, driver) as store:
        assert await store.count_endpoints(ANY, 100, LIMIT) == 10
        data = {"failCommands": ["count"], "appName": "kaa-epr", "closeConnection": True}
        admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})
        assert await store.count_endpoints(ANY, 100, LIMIT) == 10


@pytest.mark.parametrize(
    ("path", "command"),
    [("/applications/app/metadata-keys", "aggregate"), ("/endpoints?limit=1", "count")],
    ids=["keys", "a list that counts"],
)
async def test_a_client_that_goes_away_ends_what_is_read_for_it(
    faulty: MongoServer, admin: Any, nats_server: NatsServer, instance_name: str, path: str, command: str
) -> None:
    settings = register_settings(nats_server.url, faulty.uri, instance_name, "epr")
    async with serving(settings) as service:
        assert service.register is not None
        hold_back(admin, command, 600.0)
        async with connected(service.register) as client:
            client.send(f"GET /api/v1{path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            await until(lambda: running(admin, command) == 1, "it runs")
            reset(client)
            await until(lambda: running(admin, command) == 0, "killed")
        admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        async with connected(service.register) as client:
            client.send(f"GET /api/v1{path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert (await client.answer()).status == 200
