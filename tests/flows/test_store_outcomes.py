"""What a write that failed did: each way to fail, with both drivers, against what the server then holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import bson
import pytest
from pymongo import MongoClient, UpdateOne

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings
from kaa_epr.embedded import MongoServer, start_mongod
from kaa_epr.mongo import open_store
from kaa_epr.mongo.api import Statement, WriteOutcome, WriteUnconfirmed
from kaa_epr.mongo.errors import Effect, StoreError, StoreTimeout
from kaa_epr.mongo.options import APP_NAME
from kaa_epr.mongo.register_api import RegisterStore
from tests.support.proxy import Proxy
from tests.support.waiting import until

pytestmark = pytest.mark.faults
LIMIT: Final = 1.0
"""Seconds for each step with the store."""
PATIENT: Final = 20.0
ONCE: Final = {"times": 1}
Pair = tuple[dict[str, Any], dict[str, Any]]
NEW: Final[Pair] = ({"_id": "e"}, {"$inc": {"n": 1}})
Write = Callable[[RegisterStore, Sequence[Pair], float], Coroutine[Any, Any, WriteOutcome]]


async def by_the_driver(store: RegisterStore, pairs: Sequence[Pair], limit: float) -> WriteOutcome:
    return await store.write([UpdateOne(*pair, upsert=True) for pair in pairs], limit)


async def by_statements(store: RegisterStore, pairs: Sequence[Pair], limit: float) -> WriteOutcome:
    return await store.upsert([Statement(bson.encode(q), bson.encode(u)) for q, u in pairs], limit)


@pytest.fixture(params=[by_the_driver, by_statements])
def write(request: pytest.FixtureRequest) -> Any:
    """Conditions and updates, in each of the two ways."""
    return request.param


class Alone(MongoServer):
    """A server that is in no replica set."""

    def _arguments(self) -> list[str]:
        return self._plain_arguments()


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    options = ("--setParameter", "enableTestCommands=1")
    server = start_mongod(tmp_path_factory.mktemp("faulty"), options=options)
    yield server
    server.stop()


@pytest.fixture
def stored(faulty: MongoServer) -> Iterator[Any]:
    """The collection, seen past the store, and without fail points afterwards."""
    with MongoClient[dict[str, Any]](faulty.uri) as client:
        client.epr.endpoints.drop()
        client.epr["endpoints.tasks"].drop()
        yield client.epr.endpoints
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@asynccontextmanager
async def opened(uri: str, driver: Any, **more: Any) -> AsyncIterator[RegisterStore]:
    settings = StoreSettings(timeout=LIMIT)
    store = open_store(MongoSettings(uri=uri, driver=driver, **more), settings)
    try:
        yield store
    finally:
        await store.close()


def fail(stored: Any, mode: Any, **data: Any) -> None:
    """What happens to the next writes of ours."""
    data |= {"failCommands": ["update", "insert"], "appName": APP_NAME}
    stored.database.client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})


async def effect_of(write: Write, store: RegisterStore, limit: float = PATIENT) -> Effect:
    """Of a write that fails."""
    with pytest.raises(StoreError) as caught:
        await write(store, [NEW], limit)
    return caught.value.effect


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"errorCode": 13}, Effect.NONE),
        ({"errorCode": 11600}, Effect.PERHAPS),
        ({"errorCode": 50}, Effect.PERHAPS),
        ({"closeConnection": True}, Effect.PERHAPS),
    ],
    ids=str,
)
async def test_a_refused_or_broken_write(
    faulty: MongoServer, stored: Any, driver: Any, write: Write, data: dict[str, Any], expected: Effect
) -> None:
    """Always: the driver tries again, as long as there is time, where the answer says that this may help."""
    async with opened(faulty.uri, driver) as store:
        await store.ping(PATIENT)
        fail(stored, "alwaysOn", **data)
        assert await effect_of(write, store, LIMIT) is expected
    assert stored.count_documents({}) == 0


async def test_a_write_that_the_driver_repeats_is_done_once(
    faulty: MongoServer, stored: Any, driver: Any, write: Write
) -> None:
    async with opened(faulty.uri, driver) as store:
        fail(stored, ONCE, closeConnection=True)
        await write(store, [NEW], PATIENT)
    assert stored.find_one({"_id": "e"})["n"] == 1


async def test_a_write_that_the_majority_does_not_confirm(
    faulty: MongoServer, stored: Any, driver: Any, write: Write
) -> None:
    """What the primary did is told one by one: the second statement is refused for good."""
    stored.create_index("token", unique=True)
    stored.insert_one({"_id": "other", "token": "t"})
    error = {"code": 64, "errmsg": "waiting for replication timed out", "errInfo": {"wtimeout": True}}
    taken: Pair = ({"_id": "f"}, {"$set": {"token": "t"}})
    async with opened(faulty.uri, driver) as store:
        fail(stored, ONCE, writeConcernError=error)
        with pytest.raises(WriteUnconfirmed) as caught:
            await write(store, [NEW, taken], PATIENT)
        assert caught.value.effect is Effect.UNCONFIRMED
        assert [failure.position for failure in caught.value.outcome.failures] == [1]
        assert stored.find_one({"_id": "e"})["n"] == 1
        fail(stored, ONCE, writeConcernError=error)
        with pytest.raises(StoreError) as single:
            await store.add_task({"_id": "t"}, PATIENT)
        assert single.value.effect is Effect.UNCONFIRMED


async def test_a_write_that_is_given_up_may_arrive_later(
    faulty: MongoServer, stored: Any, driver: Any, write: Write
) -> None:
    async with Proxy(faulty.port) as proxy:
        uri = f"mongodb://127.0.0.1:{proxy.listens_on}/?directConnection=true"
        async with opened(uri, driver) as store:
            await store.ping(PATIENT)
            proxy.stop_forwarding("to_server")
            assert await effect_of(write, store, LIMIT) is Effect.PERHAPS
            assert stored.count_documents({}) == 0
            proxy.go_on()
            await until(lambda: stored.count_documents({}) == 1, "the write arrives after all")


async def test_a_write_whose_answer_is_lost(
    faulty: MongoServer, stored: Any, driver: Any, write: Write
) -> None:
    async with Proxy(faulty.port) as proxy:
        uri = f"mongodb://127.0.0.1:{proxy.listens_on}/?directConnection=true"
        async with opened(uri, driver) as store:
            await store.ping(PATIENT)
            proxy.stop_forwarding("to_client")
            assert await effect_of(write, store, LIMIT) is Effect.PERHAPS
            assert stored.find_one({"_id": "e"})["n"] == 1
            proxy.go_on()


async def test_a_write_that_was_carried_out_before_its_connection_was_lost_is_done_once(
    faulty: MongoServer, stored: Any, driver: Any, write: Write
) -> None:
    """It is sent again, and the server answers what it answered before."""
    async with Proxy(faulty.port) as proxy:
        uri = f"mongodb://127.0.0.1:{proxy.listens_on}/?directConnection=true"
        async with opened(uri, driver) as store:
            await write(store, [NEW], PATIENT)
            proxy.stop_forwarding("to_client")
            writing = asyncio.create_task(write(store, [NEW, ({"_id": "f"}, {"$inc": {"n": 1}})], PATIENT))
            await until(lambda: stored.find_one({"_id": "f"}), "it is carried out")
            proxy.cut()
            proxy.go_on()
            assert (await writing).failures == ()
            await write(store, [NEW], PATIENT)
    assert {document["_id"]: document["n"] for document in stored.find()} == {"e": 3, "f": 1}


@pytest.mark.parametrize("times", [1, 3])
async def test_a_write_that_is_not_confirmed_at_first_is_asked_about_again(
    faulty: MongoServer, stored: Any, driver: Any, write: Write, times: int
) -> None:
    """A primary that steps down while it waits for the majority."""
    async with opened(faulty.uri, driver) as store:
        await store.ping(PATIENT)
        error = {"code": 11_600, "errmsg": "interrupted", "errorLabels": ["RetryableWriteError"]}
        fail(stored, {"times": times}, writeConcernError=error, errorLabels=["RetryableWriteError"])
        assert (await write(store, [NEW], PATIENT)).failures == ()
    assert stored.find_one({"_id": "e"})["n"] == 1


async def test_a_server_that_is_in_no_replica_set(
    driver: Any, write: Write, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It takes no numbered writes."""
    alone = Alone(tmp_path_factory.mktemp("alone"), initiate=False)
    alone.start()
    try:
        async with opened(f"mongodb://{alone.address}", driver) as store:
            for _ in range(2):
                assert (await write(store, [NEW], PATIENT)).failures == ()
        with MongoClient[dict[str, Any]](f"mongodb://{alone.address}") as client:
            assert client.epr.endpoints.find_one({"_id": "e"})["n"] == 2  # type: ignore[index]
    finally:
        alone.stop()


async def test_a_write_that_never_leaves(faulty: MongoServer, stored: Any, driver: Any, write: Write) -> None:
    async with Proxy(faulty.port) as proxy:
        uri = f"mongodb://127.0.0.1:{proxy.listens_on}/?directConnection=true"
        async with opened(uri, driver) as store:
            proxy.refusing = True
            assert await effect_of(write, store, LIMIT) is Effect.NONE
    async with opened("mongodb://127.0.0.1:9/", driver) as store:
        assert await effect_of(write, store, LIMIT) is Effect.NONE
    assert stored.count_documents({}) == 0


async def test_a_write_that_finds_no_connection(
    faulty: MongoServer, stored: Any, driver: Any, write: Write
) -> None:
    async with opened(faulty.uri, driver, max_pool_size=1) as store:
        await store.ping(PATIENT)
        fail(stored, ONCE, blockConnection=True, blockTimeMS=int(1000 * LIMIT * 3))
        slow = asyncio.create_task(store.add_task({"_id": "t"}, PATIENT))
        blocked = {"appName": APP_NAME, "command.insert": "endpoints.tasks"}
        admin = stored.database.client.admin
        await until(lambda: list(admin.aggregate([{"$currentOp": {}}, {"$match": blocked}])), "it blocks")
        with pytest.raises(StoreTimeout) as caught:
            await write(store, [NEW], LIMIT / 2)
        assert caught.value.effect is Effect.NONE
        await slow
    assert stored.count_documents({}) == 0
