"""The change stream of a real mongod through both drivers: what it tells of, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Int64
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoFields, MongoSettings
from kaa_epr.embedded import MongoServer
from kaa_epr.mongo import Store, StoreError, open_store
from kaa_epr.mongo.change_stream import BATCH, Change, ChangeCursor
from kaa_epr.mongo.errors import ChangeStreamLost, ChangeStreamUnsupported
from kaa_epr.mongo.options import APP_NAME
from tests.support.waiting import until

TIME_LIMIT = 10.0
MARK = "last"
"""Inserted to know that all before it was told."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A mongod that can be told to fail."""
    options = ("--setParameter", "enableTestCommands=1")
    with MongoServer(tmp_path_factory.mktemp("mongo"), options=options) as server:
        yield server


@pytest.fixture
def client(server: MongoServer) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](server.uri) as client:
        client.drop_database("epr")
        yield client
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@asynccontextmanager
async def opened(server: MongoServer, driver: Any, **mongo: Any) -> AsyncIterator[Store]:
    store = open_store(MongoSettings(uri=server.uri, driver=driver, **mongo), StoreSettings(timeout=2.0))
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(server: MongoServer, driver: Any, client: object) -> AsyncIterator[Store]:
    async with opened(server, driver) as store:
        yield store


async def told(stream: ChangeCursor, collection: Any, mark: dict[str, Any] | None = None) -> list[Change]:
    """What the stream tells of up to now."""
    collection.insert_one(mark or {"_id": MARK})
    changes: list[Change] = []
    async with asyncio.timeout(TIME_LIMIT):
        while not changes or changes[-1].endpoint_id != MARK:
            answer = await stream.next(TIME_LIMIT)
            assert len(answer.changes) <= BATCH
            assert not answer.ended
            changes += answer.changes
    return changes[:-1]


def fail(client: MongoClient[dict[str, Any]], command: str, **data: Any) -> None:
    """Makes the next such command of ours fail."""
    data |= {"failCommands": [command], "appName": APP_NAME}
    client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data})


async def test_changes_are_told_with_their_versions_and_without_values(
    store: Store, client: MongoClient[dict[str, Any]]
) -> None:
    collection = client.epr.endpoints
    stream = await store.watch(None, TIME_LIMIT)
    one = {"_id": "e"}
    metadata = [{"key": "k", "value": "v"}]
    collection.insert_one({**one, "version": Int64(1), "metadata": metadata, "outbox": [1]})
    collection.update_one(one, {"$unset": {"outbox": 1}})  # nobody who reads endpoints sees this
    collection.update_one(one, {"$set": {"version": 2, "metadata.0.value": "w", "outbox": [2]}})
    collection.update_one(one, {"$set": {"metadata.0.value": "foreign"}})
    collection.update_one(one, {"$unset": {"metadata": 1}})
    collection.update_one(one, {"$set": {"version": "no integer"}})
    collection.update_one(one, {"$set": {"deleted_at": 0, "version": Int64(5)}})
    collection.replace_one(one, {"version": Int64(6)})
    collection.delete_one(one)
    collection.insert_one({"_id": 5})  # no endpoint's
    changes = await told(stream, collection)
    assert changes == [Change("e", version) for version in (1, 2, None, None, None, 5, None, None)]
    await stream.close()


async def test_a_mapped_id_is_looked_up_and_a_deletion_names_nobody(
    server: MongoServer, driver: Any, client: MongoClient[dict[str, Any]]
) -> None:
    fields = MongoFields(id="endpoint", version="rev", metadata="data")
    async with opened(server, driver, fields=fields) as store:
        stream = await store.watch(None, TIME_LIMIT)
        collection = client.epr.endpoints
        key = collection.insert_one({"endpoint": "e", "rev": 1}).inserted_id
        collection.update_one({"_id": key}, {"$set": {"data.deep.key": 1}})
        collection.update_one({"_id": key}, {"$set": {"version": 7}})
        collection.update_one({"_id": key}, {"$inc": {"rev": 1}})
        assert await told(stream, collection, {"endpoint": MARK}) == [
            Change("e", 1),
            Change("e", None),
            Change("e", 2),
        ]
        collection.delete_one({"_id": key})
        (change,) = await told(stream, collection, {"endpoint": MARK})
        assert change == Change(None, None)
        await stream.close()


async def test_many_changes_come_in_bounded_answers(
    store: Store, client: MongoClient[dict[str, Any]]
) -> None:
    stream = await store.watch(None, TIME_LIMIT)
    client.epr.endpoints.insert_many([{"_id": f"e{i}", "version": i} for i in range(3 * BATCH)])
    assert await told(stream, client.epr.endpoints) == [Change(f"e{i}", i) for i in range(3 * BATCH)]
    await stream.close()


async def test_what_cannot_be_decoded_stops_nothing(
    store: Store, client: MongoClient[dict[str, Any]]
) -> None:
    stream = await store.watch(None, TIME_LIMIT)
    broken = bson.encode({"_id": "XXXX", "metadata": "XXXX"}).replace(b"XXXX", b"\xff\xfe\xfd\xfc")
    raw = client.epr.get_collection("endpoints", bson.CodecOptions(document_class=RawBSONDocument))
    raw.insert_one(RawBSONDocument(broken))
    assert len(await told(stream, client.epr.endpoints)) == 1
    await stream.close()


async def test_a_stream_goes_on_where_another_stood(
    store: Store, client: MongoClient[dict[str, Any]]
) -> None:
    collection = client.epr.endpoints
    stream = await store.watch(None, TIME_LIMIT)
    collection.insert_one({"_id": "before", "version": 1})
    assert await told(stream, collection) == [Change("before", 1)]
    await stream.close()
    collection.insert_one({"_id": "between", "version": 1})
    collection.delete_one({"_id": MARK})
    again = await store.watch(stream.position, TIME_LIMIT)
    assert await told(again, collection) == [Change("between", 1), Change(MARK, None)]
    await again.close()


@pytest.mark.parametrize("end", ["drop", "rename", "drop_database"])
async def test_the_end_of_the_collection_ends_the_stream(
    store: Store, client: MongoClient[dict[str, Any]], end: str
) -> None:
    collection = client.epr.endpoints
    collection.insert_one({"_id": "e"})
    stream = await store.watch(None, TIME_LIMIT)
    collection.update_one({"_id": "e"}, {"$set": {"version": 3}})
    ends: dict[str, Callable[[], object]] = {
        "drop": collection.drop,
        "rename": lambda: collection.rename("others"),
        "drop_database": lambda: client.drop_database("epr"),
    }
    ends[end]()
    changes: list[Change] = []
    async with asyncio.timeout(TIME_LIMIT):
        while not (answer := await stream.next(TIME_LIMIT)).ended:
            changes += answer.changes
    assert [*changes, *answer.changes][0] == Change("e", 3)
    await stream.close()
    anew = await store.watch(None, TIME_LIMIT)
    assert await told(anew, collection) == []
    await anew.close()


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        ("getMore", 286, "oplog does not reach back"),
        ("getMore", 280, "cannot go on"),
        ("aggregate", 286, "oplog does not reach back"),
        ("aggregate", 13, r"refused to go on with Unauthorized \(code 13\)"),
    ],
)
async def test_a_lost_position_is_told_apart(
    store: Store, client: MongoClient[dict[str, Any]], command: str, code: int, reason: str
) -> None:
    stream = await store.watch(None, TIME_LIMIT)
    fail(client, command, errorCode=code)
    ask = stream.next(TIME_LIMIT) if command == "getMore" else store.watch(stream.position, TIME_LIMIT)
    with pytest.raises(ChangeStreamLost, match=reason):
        await ask
    await stream.close()


@pytest.mark.parametrize("fault", [{"closeConnection": True}, {"errorCode": 43}, {"errorCode": 10107}])
async def test_an_interruption_is_no_loss(
    store: Store, client: MongoClient[dict[str, Any]], fault: dict[str, Any]
) -> None:
    stream = await store.watch(None, TIME_LIMIT)
    fail(client, "getMore", **fault)
    with pytest.raises(StoreError) as caught:
        await stream.next(TIME_LIMIT)
    assert not isinstance(caught.value, ChangeStreamLost)
    await stream.close()
    again = await store.watch(stream.position, TIME_LIMIT)
    assert await told(again, client.epr.endpoints) == []
    await again.close()


async def test_a_closed_stream_leaves_nothing_at_the_server(
    store: Store, client: MongoClient[dict[str, Any]]
) -> None:
    stream = await store.watch(None, TIME_LIMIT)
    waiting = asyncio.create_task(stream.next(TIME_LIMIT))

    def asked() -> bool:
        pipeline: list[dict[str, Any]] = [
            {"$currentOp": {}},
            {"$match": {"ns": "epr.endpoints", "op": "getmore"}},
        ]
        return bool(list(client.admin.aggregate(pipeline)))

    await until(asked, "the server waits for a change")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await stream.close()
    await store.close()

    def cursors() -> int:
        return int(client.admin.command("serverStatus")["metrics"]["cursor"]["open"]["total"])

    await until(lambda: cursors() == 0, "the server lets go of the cursor")
    assert cursors() == 0


async def test_a_mongod_alone_has_no_change_streams(driver: Any, tmp_path: Path) -> None:
    server = MongoServer(tmp_path, initiate=False)
    (tmp_path / "db").mkdir()
    server._launch(server._plain_arguments(), ())
    try:
        mongo = MongoSettings(uri=f"mongodb://{server.address}/", driver=driver)
        store = open_store(mongo, StoreSettings())
        with pytest.raises(ChangeStreamUnsupported, match="make mongod a replica set"):
            await store.watch(None, TIME_LIMIT)
        assert await store.load(["e"], TIME_LIMIT) == []
        await store.close()
    finally:
        server.stop()
