"""Loads from a real mongod with both drivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions
from pymongo import MongoClient

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoFields, MongoSettings
from kaa_epr.embedded import MongoServer
from kaa_epr.mongo import Store, StoreOverloaded, StoreTimeout, StoreUnavailable, open_store
from kaa_epr.mongo.api import MAX_IDS
from kaa_epr.mongo.base import MongoStore
from kaa_epr.mongo.errors import StoreSettingsRefused
from kaa_epr.mongo.options import APP_NAME
from tests.support.waiting import DEADLINE, until

DRIVERS = ("motor", "pymongo")
TIME_LIMIT = 5.0


@asynccontextmanager
async def opened(mongo: MongoSettings, seconds: float) -> AsyncIterator[Store]:
    store = open_store(mongo, StoreSettings(timeout=seconds))
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(mongo: MongoSettings) -> AsyncIterator[Store]:
    async with opened(mongo, TIME_LIMIT) as store:
        yield store


def decoded(batches: list[bytes]) -> dict[str, dict[str, Any]]:
    return {document["_id"]: document for batch in batches for document in bson.decode_all(batch)}


async def all_ended(store: Store) -> None:
    """Waits for what nobody else waits for any more."""
    assert isinstance(store, MongoStore)
    assert await store._newest.idle(DEADLINE)


async def test_existing_ids_come_back_and_missing_ones_do_not(store: Store, collection: Any) -> None:
    collection.insert_many(
        [{"_id": f"e{i}", "metadata": [{"key": "k", "value": i}], "version": i} for i in range(300)]
    )
    wanted = [f"e{i}" for i in range(0, 300, 3)]
    found = decoded(await store.load([*wanted, "missing", "e-1"], TIME_LIMIT))
    assert sorted(found) == sorted(wanted)
    assert found["e3"] == {"_id": "e3", "metadata": [{"key": "k", "value": 3}], "version": 3}


async def test_nothing_found_is_no_batch(store: Store) -> None:
    assert await store.load(["nobody"], TIME_LIMIT) == []
    assert await store.load([], TIME_LIMIT) == []


async def test_only_mapped_fields_are_loaded(store: Store, collection: Any) -> None:
    mapped = {"application_version": "v1", "metadata": [], "version": 1, "deleted_at": None}
    collection.insert_one({"_id": "e", **mapped, "outbox": [{"event": b"x"}], "created_at": 5, "other": 1})
    assert decoded(await store.load(["e"], TIME_LIMIT)) == {"e": {"_id": "e", **mapped}}


async def test_mapped_names_and_ids_elsewhere(mongo: MongoSettings, collection: Any) -> None:
    fields = MongoFields(
        id="endpoint", metadata="data", application_version="app", version="rev", deleted_at="gone"
    )
    store = open_store(mongo.model_copy(update={"fields": fields}), StoreSettings())
    collection.insert_one(
        {"endpoint": "e", "data": {"a": 1}, "app": "v", "rev": 2, "metadata": "not this one"}
    )
    batches = await store.load(["e"], TIME_LIMIT)
    await store.close()
    assert bson.decode_all(batches[0]) == [{"endpoint": "e", "data": {"a": 1}, "app": "v", "rev": 2}]


async def test_unusable_documents_pass_through_undecoded(store: Store, collection: Any) -> None:
    # A string that is not UTF-8, which no decoder would take.
    broken = bson.encode({"_id": "broken", "metadata": [{"key": "k", "value": "XXXX"}]})
    broken = broken.replace(b"XXXX", b"\xff\xfe\xfd\xfc")
    raw = collection.with_options(CodecOptions(document_class=bson.raw_bson.RawBSONDocument))
    raw.insert_one(bson.raw_bson.RawBSONDocument(broken))
    collection.insert_one({"_id": "fine", "metadata": []})
    batches = await store.load(["broken", "fine"], TIME_LIMIT)
    assert broken in b"".join(batches)
    assert b"fine" in b"".join(batches)


async def test_large_documents_come_in_several_batches_and_then_small_ones_again(
    store: Store, collection: Any
) -> None:
    def open_cursors() -> int:
        status = collection.database.client.admin.command("serverStatus")
        return int(status["metrics"]["cursor"]["open"]["total"])

    before = open_cursors()
    megabytes = 7
    for i in range(5):
        collection.insert_one({"_id": f"big{i}", "metadata": {"k": "x" * (megabytes << 20)}})
    collection.insert_one({"_id": "small", "metadata": {}})
    ids = [f"big{i}" for i in range(5)]
    for _ in range(2):
        batches = await store.load(ids, TIME_LIMIT)
        assert len(batches) > 1
        found = decoded(batches)
        assert sorted(found) == ids
        assert all(len(document["metadata"]["k"]) == megabytes << 20 for document in found.values())
    for _ in range(2):
        assert list(decoded(await store.load(["small", "none"], TIME_LIMIT))) == ["small"]
    await until(lambda: open_cursors() <= before, "no cursor is left")


async def test_a_document_of_full_size(store: Store, collection: Any) -> None:
    overhead = len(bson.encode({"_id": "max", "metadata": {"k": ""}}))
    collection.insert_one({"_id": "max", "metadata": {"k": "x" * ((16 << 20) - overhead)}})
    (batch,) = await store.load(["max"], TIME_LIMIT)
    assert len(batch) == 16 << 20


async def test_the_most_and_longest_ids_fit(store: Store) -> None:
    assert await store.load([f"{i:05d}" + "x" * 4091 for i in range(MAX_IDS)], TIME_LIMIT) == []
    with pytest.raises(ValueError, match="at most"):
        await store.load(["x"] * (MAX_IDS + 1), TIME_LIMIT)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A mongod that can be told to fail."""
    options = ("--setParameter", "enableTestCommands=1")
    with MongoServer(tmp_path_factory.mktemp("faulty"), options=options) as server:
        yield server


@pytest.fixture
def one_document(faulty: MongoServer) -> str:
    """Its id."""
    with MongoClient[dict[str, Any]](faulty.uri) as client:
        client.epr.endpoints.replace_one({"_id": "e"}, {"metadata": {}}, upsert=True)
    return "e"


@pytest.fixture(params=DRIVERS)
async def impatient(
    request: pytest.FixtureRequest, faulty: MongoServer, one_document: str
) -> AsyncIterator[Store]:
    """Its driver looks for a server for half a second only."""
    async with opened(MongoSettings(uri=faulty.uri, driver=request.param), 0.5) as store:
        await store.ping(TIME_LIMIT)
        yield store


@pytest.fixture(params=DRIVERS)
async def patient(
    request: pytest.FixtureRequest, faulty: MongoServer, one_document: str
) -> AsyncIterator[Store]:
    """Its connections wait for answers for seconds, however soon a load is given up."""
    async with opened(MongoSettings(uri=faulty.uri, driver=request.param), TIME_LIMIT) as store:
        await store.ping(TIME_LIMIT)
        yield store


def fail(server: MongoServer, **data: Any) -> None:
    """Makes the next find of ours fail in the given way."""
    with MongoClient[dict[str, Any]](server.uri) as client:
        client.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": {"times": 1},
                "data": {"failCommands": ["find"], "appName": APP_NAME, **data},
            }
        )


def finds_of_ours(client: MongoClient[dict[str, Any]]) -> list[int]:
    """The connections that serve a find of ours now."""
    running = client.admin.aggregate([{"$currentOp": {}}, {"$match": {"appName": APP_NAME}}])
    return [operation["connectionId"] for operation in running if "find" in operation["command"]]


async def serving_connection(store: Store, server: MongoServer) -> int:
    """The one that a load of the store goes over: the server holds the find back until it was seen."""
    with MongoClient[dict[str, Any]](server.uri) as client:
        while True:
            fail(server, blockConnection=True, blockTimeMS=300)
            load = asyncio.create_task(store.load(["e"], TIME_LIMIT))
            seen: list[int] = []
            while not seen and not load.done():
                seen = await asyncio.to_thread(finds_of_ours, client)
            await load
            if seen:
                return seen[0]


async def test_a_late_answer_is_read_so_the_connection_lives_on(patient: Store, faulty: MongoServer) -> None:
    before = await serving_connection(patient, faulty)
    fail(faulty, blockConnection=True, blockTimeMS=1500)
    with pytest.raises(StoreTimeout, match=r"0\.2 s"):
        await patient.load(["e"], 0.2)
    assert patient.abandoned == 1, "given up before the server answered"
    await all_ended(patient)
    assert patient.abandoned == 0
    assert await serving_connection(patient, faulty) == before


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_cancelled_waiter_leaves_the_connection_alone(driver: Any, faulty: MongoServer) -> None:
    ids = [f"e{i}" for i in range(100)]
    with MongoClient[dict[str, Any]](faulty.uri) as client:
        client.large.endpoints.drop()
        client.large.endpoints.insert_many([{"_id": id_, "metadata": {"k": "x" * 100_000}} for id_ in ids])
    async with opened(MongoSettings(uri=faulty.uri, database="large", driver=driver), TIME_LIMIT) as store:
        before = await serving_connection(store, faulty)
        cancelled = 0
        for step in range(40):
            load = asyncio.create_task(store.load(ids, TIME_LIMIT))
            # A few turns of the loop: at another point of the operation every time.
            for _ in range(step):
                await asyncio.sleep(0)
            load.cancel()
            (outcome,) = await asyncio.gather(load, return_exceptions=True)
            cancelled += isinstance(outcome, asyncio.CancelledError)
            await all_ended(store)
        assert cancelled >= 10
        assert sorted(decoded(await store.load(ids, TIME_LIMIT))) == sorted(ids)
        assert await serving_connection(store, faulty) == before


async def test_so_many_operations_may_be_left_behind(patient: Store, faulty: MongoServer) -> None:
    most = StoreSettings().max_loads
    with MongoClient[dict[str, Any]](faulty.uri) as client:
        data = {"failCommands": ["find"], "appName": APP_NAME, "blockConnection": True, "blockTimeMS": 1500}
        client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": most}, "data": data})
    loads = [patient.load(["e"], 0.2) for _ in range(most)]
    outcomes = await asyncio.gather(*loads, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreTimeout] * most
    with pytest.raises(StoreOverloaded, match=f"{most} operations"):
        await patient.load(["e"], 0.2)
    await all_ended(patient)
    assert len(await patient.load(["e"], TIME_LIMIT)) == 1


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_lost_connection_costs_no_load(driver: Any, faulty: MongoServer) -> None:
    # Patient: the driver looks at a server that broke off at most twice a second.
    async with opened(MongoSettings(uri=faulty.uri, driver=driver), 20) as store:
        await store.ping(20)
        fail(faulty, closeConnection=True)
        assert await store.load(["nobody"], 20) == []


async def test_what_the_server_answered_is_not_repeated(impatient: Store, faulty: MongoServer) -> None:
    with MongoClient[dict[str, Any]](faulty.uri) as client:
        data = {"failCommands": ["find"], "appName": APP_NAME, "errorCode": 10107}
        client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
        with pytest.raises((StoreUnavailable, StoreTimeout)) as caught:
            await impatient.load(["e"], TIME_LIMIT)
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    assert "full error" not in str(caught.value)
    assert "clusterTime" not in str(caught.value)


async def test_a_refusal_names_the_code_and_no_values(impatient: Store, faulty: MongoServer) -> None:
    fail(faulty, errorCode=13)
    with pytest.raises(StoreUnavailable, match=r"load was refused with Unauthorized \(code 13\)"):
        await impatient.load(["e"], TIME_LIMIT)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_new_term_of_the_primary_costs_no_load_and_is_told_once(
    driver: Any, faulty: MongoServer
) -> None:
    changes: list[None] = []
    async with opened(MongoSettings(uri=faulty.uri, driver=driver), 20) as store:
        store.on_primary_changed(lambda: changes.append(None))
        await store.ping(20)
        assert not changes
        with MongoClient[dict[str, Any]](faulty.uri) as client:
            client.admin.command({"replSetStepDown": 1, "force": True})
        await store.ping(20)
        await until(lambda: changes, "told of the new term")
        await store.ping(20)
        assert len(changes) == 1


async def test_nothing_is_listening() -> None:
    for driver in DRIVERS:
        mongo = MongoSettings(uri="mongodb://user:hush@127.0.0.1:1/", driver=driver)
        async with opened(mongo, 0.2) as store:
            began = asyncio.get_running_loop().time()
            with pytest.raises((StoreUnavailable, StoreTimeout)) as caught:
                await store.load(["e"], 0.2)
            # Far from the half minute that the drivers would look for a server by themselves.
            assert asyncio.get_running_loop().time() - began < 5
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://user:hu:sh@host/",
        "mongodb://user:hush@/",
        "mongodb://user:hush@host:70000/",
        "mongodb://host/?authMechanism=hush",
        "mongodb://user:hush@host/?maxPoolSize=hush",
        "mongodb+srv://user:hush@host:27017/",
    ],
)
async def test_refused_settings_do_not_tell_the_password(driver: Any, uri: str) -> None:
    with pytest.raises(StoreSettingsRefused) as caught:
        open_store(MongoSettings(uri=uri, driver=driver), StoreSettings())
    assert "hush" not in repr(caught.value)
    assert caught.value.__suppress_context__
