"""Imports and exports against a real mongod, with both drivers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from bson import Int64

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoFields, MongoSettings
from kaa_epr.embedded import MongoServer
from kaa_epr.mongo import open_store
from kaa_epr.mongo.errors import ForeignCollection
from kaa_epr.mongo.indexes import INDEXES, IndexConflict, ensure_indexes, has_id_index
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.mongo.transfer import (
    BadLine,
    ExportProgress,
    ImportOptions,
    ImportProgress,
    NotExported,
    default_state_path,
    export_endpoints,
    import_endpoints,
)
from kaa_epr.register.importing import direct_import

SAMPLES = Path(__file__).parents[2] / "samples" / "endpoints.jsonl"
SMALL = ImportOptions(batch_lines=10)


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def endpoint(number: int, **fields: Any) -> dict[str, Any]:
    return {"endpointId": f"e{number:04d}", "appVersion": {"name": "v1"}, "metadata": {"n": number}} | fields


async def exported(store: RegisterStore) -> str:
    lines: list[str] = []
    await export_endpoints(store, lines.append)
    return "".join(lines)


async def test_an_import_an_export_and_an_import_again(
    store: RegisterStore, collection: Any, tmp_path: Path
) -> None:
    progress: list[ImportProgress] = []
    written: list[str] = []

    async def on_written(ids: Sequence[str]) -> None:
        written.extend(ids)

    count = len(SAMPLES.read_text().splitlines())
    source = write(tmp_path / "samples.jsonl", *SAMPLES.read_text().splitlines())
    done = await import_endpoints(
        source, store, direct_import(store), options=SMALL, on_progress=progress.append, on_written=on_written
    )
    size = source.stat().st_size
    assert done == ImportProgress(size, size, count, count, 0, 0, 0, 0)
    assert progress[0] == ImportProgress(0, size, 0, 0, 0, 0, 0, 0)
    assert [p.lines for p in progress] == sorted(p.lines for p in progress)
    assert sorted(written) == sorted(
        json.loads(line)["endpointId"] for line in source.read_text().splitlines()
    )
    assert {index["name"] for index in collection.list_indexes()} == {"_id_", *(i.name for i in INDEXES)}
    assert not default_state_path(source).exists()

    (tmp_path / "exported.jsonl").write_text(await exported(store))
    before = list(collection.find())
    written.clear()
    again = await import_endpoints(
        tmp_path / "exported.jsonl", store, direct_import(store), on_written=on_written
    )
    assert (again.created, again.changed, again.unchanged, again.bad) == (0, 0, count, 0)
    assert list(collection.find()) == before
    assert written == []

    collection.delete_many({})
    await import_endpoints(tmp_path / "exported.jsonl", store, direct_import(store))
    assert await exported(store) == (tmp_path / "exported.jsonl").read_text()


async def test_every_bad_line_is_reported_and_every_good_one_written(
    store: RegisterStore, collection: Any, tmp_path: Path
) -> None:
    source = write(
        tmp_path / "mixed.jsonl",
        endpoint(1, application="app", endpointToken="t1"),
        "{",
        endpoint(2, application="app", endpointToken="t2"),
        endpoint(3, metadata={"": 1}),
        "",
        endpoint(4, application="app", endpointToken="t1"),
        endpoint(5, application="other", endpointToken="t1"),
        endpoint(6, metadata={"k": "x" * (16 << 20)}),
        {"endpointId": "a/b"},
        endpoint(7),
    )
    bad: list[BadLine] = []
    done = await import_endpoints(source, store, direct_import(store), on_bad_line=bad.append)
    assert [(line.number, line.reason.partition(":")[0]) for line in bad] == [
        (2, "line"),
        (4, "metadata"),
        (6, "endpointToken"),
        (8, "metadata"),
        (9, "endpointId"),
    ]
    assert bad[2].endpoint_id == "e0004"
    assert (done.created, done.bad, done.lines) == (4, 5, 10)
    assert sorted(collection.distinct("_id")) == ["e0001", "e0002", "e0005", "e0007"]
    assert all(document["version"] == 1 for document in collection.find())


async def test_versions_grow_with_changes_only(store: RegisterStore, collection: Any, tmp_path: Path) -> None:
    await import_endpoints(write(tmp_path / "a", *map(endpoint, range(4))), store, direct_import(store))
    first = {document["_id"]: document for document in collection.find()}
    collection.update_one({"_id": "e0003"}, {"$set": {"version": Int64(40), "outbox": [{"event": 1}]}})
    changed = [endpoint(0), endpoint(1, metadata={"n": 1.0}), endpoint(2, applicationVersion="v2")]
    del changed[2]["appVersion"]
    changed.append(endpoint(3, metadata={"n": "$n", "m": {"$inc": 1}}))
    done = await import_endpoints(write(tmp_path / "b", *changed), store, direct_import(store))
    assert (done.created, done.changed, done.unchanged) == (0, 3, 1)
    second = {document["_id"]: document for document in collection.find()}
    assert second["e0000"] == first["e0000"]
    assert [second[f"e000{i}"]["version"] for i in (1, 2, 3)] == [2, 2, 41]
    assert isinstance(second["e0001"]["metadata"][0]["value"], float)
    assert second["e0001"]["app_version_registered_at"] == first["e0001"]["app_version_registered_at"]
    assert second["e0002"]["metadata_updated_at"] == first["e0002"]["metadata_updated_at"]
    assert second["e0002"]["application_version"] == "v2"
    assert second["e0003"]["outbox"] == [{"event": 1}]
    assert second["e0003"]["metadata"][1] == {"key": "m", "value": {"$inc": 1}}


async def test_tombstones_are_not_exported_and_go_on_from_their_version(
    store: RegisterStore, collection: Any, tmp_path: Path
) -> None:
    collection.insert_one({"_id": "e0001", "version": Int64(9), "deleted_at": "then", "outbox": [1]})
    progress: list[ExportProgress] = []
    await export_endpoints(store, pytest.fail, on_progress=progress.append)
    assert progress == [ExportProgress(exported=0, tombstones=1, not_exported=0, estimated=1)]
    done = await import_endpoints(write(tmp_path / "a", endpoint(1)), store, direct_import(store))
    assert (done.created, done.changed) == (0, 1)
    document = collection.find_one()
    assert document["version"] == 10
    assert document["outbox"] == [1]
    assert "deleted_at" not in document
    assert document["created_at"] == document["metadata_updated_at"]


async def test_a_version_that_is_no_number_is_a_bad_line(
    store: RegisterStore, collection: Any, tmp_path: Path
) -> None:
    collection.insert_one({"_id": "e0001", "version": "one"})
    bad: list[BadLine] = []
    await import_endpoints(
        write(tmp_path / "a", endpoint(1), endpoint(2)), store, direct_import(store), on_bad_line=bad.append
    )
    assert bad == [BadLine(1, "the stored document's version is not a number", "e0001")]
    assert collection.count_documents({}) == 2


async def test_writers_that_come_between_lose_nothing(
    store: RegisterStore, collection: Any, tmp_path: Path
) -> None:
    """Others change and create the endpoints between the import's look and its write."""
    collection.insert_one({"_id": "e0001", "version": Int64(1), "metadata": []})
    source = write(tmp_path / "a", endpoint(1), endpoint(2), endpoint(3))
    real_read, reads = store.read, 0

    async def read(ids: Sequence[str], time_limit: float) -> list[bytes]:
        nonlocal reads
        found = await real_read(ids, time_limit)
        reads += 1
        if reads == 1:
            collection.update_one({"_id": "e0001"}, {"$inc": {"version": 5}, "$set": {"metadata": ["x"]}})
            collection.insert_one({"_id": "e0002", "version": Int64(3), "metadata": []})
        return found

    store.read = read  # type: ignore[method-assign]
    done = await import_endpoints(source, store, direct_import(store))
    assert reads == 2
    assert (done.created + done.changed, done.bad) == (3, 0)
    versions = {document["_id"]: document["version"] for document in collection.find()}
    assert versions == {"e0001": 8, "e0002": 5, "e0003": 1}
    assert await exported(store) == "".join(
        f'{{"endpointId":"e000{i}","appVersion":{{"name":"v1"}},"metadata":{{"n":{i}}}}}\n' for i in (1, 2, 3)
    )


async def test_an_endpoint_that_never_stands_still_is_a_bad_line(
    store: RegisterStore, collection: Any, tmp_path: Path
) -> None:
    collection.insert_one({"_id": "e0001", "version": Int64(1), "metadata": []})
    real_read = store.read

    async def read(ids: Sequence[str], time_limit: float) -> list[bytes]:
        found = await real_read(ids, time_limit)
        collection.update_one({"_id": "e0001"}, {"$inc": {"version": 1}, "$set": {"metadata": []}})
        return found

    store.read = read  # type: ignore[method-assign]
    bad: list[BadLine] = []
    source = write(tmp_path / "a", endpoint(1), endpoint(2))
    done = await import_endpoints(source, store, direct_import(store), on_bad_line=bad.append)
    assert bad == [BadLine(1, "others kept changing the endpoint meanwhile", "e0001")]
    assert (done.created, done.changed, done.bad) == (1, 0, 1)


IMPORTER = """
import asyncio, sys
from pathlib import Path
from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings
from kaa_epr.mongo import open_store
from kaa_epr.mongo.transfer import ImportOptions, import_endpoints
from kaa_epr.register.importing import direct_import

async def main(path, uri, database, driver):
    store = open_store(MongoSettings(uri=uri, database=database, driver=driver), StoreSettings())
    def tell(progress):
        print(progress.lines, flush=True)
        sys.stdin.readline()  # goes on when it is told to
    options = ImportOptions(batch_lines=10)
    await import_endpoints(Path(path), store, direct_import(store), options=options, on_progress=tell)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_killed_import_goes_on_where_it_stopped(
    mongo: MongoSettings, store: RegisterStore, collection: Any, mongod: MongoServer, tmp_path: Path
) -> None:
    lines = [endpoint(i) if i % 7 else "bad" for i in range(200)]
    source = write(tmp_path / "a", *lines)
    arguments = [str(source), mongod.uri, mongo.database, mongo.driver]
    killed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", IMPORTER, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert killed.stdin
    assert killed.stdout
    while int(await killed.stdout.readline()) < 50:
        killed.stdin.write(b"\n")
    killed.kill()
    await killed.communicate()
    assert 0 < collection.count_documents({}) < 150
    before = list(collection.find().sort("_id"))

    done = await import_endpoints(source, store, direct_import(store), options=SMALL)
    assert done.resumed_behind == 50
    assert (done.lines, done.created, done.unchanged) == (200, 171, 0)
    assert done.bad == 29
    assert list(collection.find().sort("_id"))[: len(before)] == before
    assert collection.count_documents({"version": 1}) == 171
    assert not default_state_path(source).exists()


async def test_an_import_whose_store_fails_goes_on_later(
    store: RegisterStore, collection: Any, tmp_path: Path
) -> None:
    source = write(tmp_path / "a", *map(endpoint, range(30)))

    async def on_written(ids: Sequence[str]) -> None:
        if "e0015" in ids:
            raise ConnectionError("the listener is gone")

    with pytest.raises(ConnectionError):
        await import_endpoints(source, store, direct_import(store), options=SMALL, on_written=on_written)
    done = await import_endpoints(source, store, direct_import(store), options=SMALL)
    assert done.resumed_behind == 10
    assert (done.created, done.unchanged) == (20, 10)
    assert collection.count_documents({"version": 1}) == 30


async def test_another_target_begins_anew(
    store: RegisterStore, mongo: MongoSettings, collection: Any, tmp_path: Path
) -> None:
    source = write(tmp_path / "a", *map(endpoint, range(30)))
    stopped = asyncio.Event()

    async def stop(ids: Sequence[str]) -> None:
        if stopped.is_set():
            raise KeyError
        stopped.set()

    with pytest.raises(KeyError):
        await import_endpoints(source, store, direct_import(store), options=SMALL, on_written=stop)
    other = open_store(mongo.model_copy(update={"collection": "other"}), StoreSettings())
    done = await import_endpoints(source, other, direct_import(other), options=SMALL)
    await other.close()
    assert (done.resumed_behind, done.created) == (0, 30)


async def test_documents_that_no_line_stands_for_are_named(store: RegisterStore, collection: Any) -> None:
    collection.insert_many(
        [
            {"_id": "a b"},
            {"_id": "dollar", "metadata": {"k": {"$oid": "x"}}},
            {"_id": "fine", "metadata": {"k": 1}},
            {"_id": "odd", "metadata": 5},
            {"_id": 17, "metadata": {}},
        ]
    )
    refused: list[NotExported] = []
    lines: list[str] = []
    done = await export_endpoints(store, lines.append, on_not_exported=refused.append)
    assert [r.endpoint_id for r in refused] == ["a b", "dollar", "odd"]
    assert lines == ['{"endpointId":"fine","metadata":{"k":1}}\n']
    assert done[:3] == (1, 0, 3)


async def test_an_export_in_many_pages(store: RegisterStore, collection: Any) -> None:
    collection.insert_many([{"_id": f"e{i:05d}", "metadata": {"k": i}} for i in range(2500)])
    collection.insert_many([{"_id": f"big{i}", "metadata": {"k": "x" * (6 << 20)}} for i in range(5)])
    pages: list[ExportProgress] = []
    text = await export_endpoints(store, lambda _: None, on_progress=pages.append)
    assert text[:3] == (2505, 0, 0)
    assert len(pages) > 6
    assert [json.loads(line)["endpointId"] for line in (await exported(store)).splitlines()] == sorted(
        collection.distinct("_id")
    )


async def test_mapped_documents_are_exported_and_never_written(
    mongo: MongoSettings, collection: Any, tmp_path: Path
) -> None:
    fields = MongoFields(id="epid", metadata="md", application_version="av", version="rev", deleted_at="gone")
    collection.insert_one({"epid": "e1", "md": {"k": 1}, "av": "v1", "rev": 4})
    store = open_store(mongo.model_copy(update={"fields": fields}), StoreSettings())
    try:
        assert await exported(store) == '{"endpointId":"e1","appVersion":{"name":"v1"},"metadata":{"k":1}}\n'
        with pytest.raises(ForeignCollection, match=r"mongo\.fields\.id"):
            await import_endpoints(write(tmp_path / "a", endpoint(1)), store, direct_import(store))
        with pytest.raises(ForeignCollection):
            await ensure_indexes(store)
        assert not await has_id_index(store)
        collection.create_index([("epid", 1), ("other", 1)])
        assert await has_id_index(store)
        assert collection.count_documents({}) == 1
        assert len(list(collection.list_indexes())) == 2
    finally:
        await store.close()


async def test_indexes_are_made_once(store: RegisterStore, collection: Any) -> None:
    assert await ensure_indexes(store) == [spec.name for spec in INDEXES]
    described = list(collection.list_indexes())
    assert await ensure_indexes(store) == []
    assert list(collection.list_indexes()) == described
    assert await has_id_index(store)
    # Arrays as values go into the compound index, long ones too.
    collection.insert_one({"_id": "e", "metadata": [{"key": "k", "value": [1, [2], "x" * 5000]}]})
    plan = collection.find({"metadata": {"$elemMatch": {"key": "k", "value": 1}}}).explain()
    assert plan["queryPlanner"]["winningPlan"]["inputStage"]["indexName"] == "by_metadata"


@pytest.mark.parametrize(
    ("keys", "options"),
    [
        ([("application", 1), ("endpoint_token", 1)], {"name": "mine", "unique": False}),
        ([("something", 1)], {"name": "by_metadata"}),
        ([("metadata.key", 1), ("metadata.value", 1), ("_id", 1)], {"unique": True}),
        ([("application", 1), ("deleted_at", 1), ("_id", 1)], {"name": "x", "sparse": True}),
    ],
)
async def test_an_index_in_the_way_is_explained_and_left_alone(
    store: RegisterStore, collection: Any, keys: Any, options: dict[str, Any]
) -> None:
    collection.create_index(keys, **options)
    before = list(collection.list_indexes())
    with pytest.raises(IndexConflict) as caught:
        await ensure_indexes(store)
    assert store.namespace in str(caught.value)
    assert keys[0][0] in str(caught.value)
    assert list(collection.list_indexes()) == before


async def test_an_equal_index_of_another_name_will_do(store: RegisterStore, collection: Any) -> None:
    collection.create_index([("application", 1), ("deleted_at", 1), ("_id", 1)], name="theirs")
    others = [spec.name for spec in INDEXES if spec.name != "in_application"]
    assert await ensure_indexes(store) == others


async def test_older_indexes_of_ours_are_replaced_and_those_of_others_are_not(
    store: RegisterStore, collection: Any
) -> None:
    collection.create_index([("application", 1), ("application_version", 1)], name="application_version")
    collection.create_index([("metadata.key", 1), ("metadata.value", 1)], name="metadata", sparse=True)
    exists = {"deleted_at": {"$exists": True}}
    collection.create_index([("deleted_at", 1)], name="tombstones", partialFilterExpression=exists)
    assert await ensure_indexes(store) == [spec.name for spec in INDEXES]
    names = {index["name"] for index in collection.list_indexes()}
    assert names == {"_id_", "metadata", *(spec.name for spec in INDEXES)}
    # As a replica of before may do while the fleet is being replaced; two at once do no harm.
    collection.create_index([("application", 1), ("application_version", 1)], name="application_version")
    await asyncio.gather(ensure_indexes(store), ensure_indexes(store))
    assert "application_version" not in {index["name"] for index in collection.list_indexes()}
