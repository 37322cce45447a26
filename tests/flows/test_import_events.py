"""Imports through the register's rules, beside responders that have cached what they change."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import Int64

from kaa_epr.cli import importing
from kaa_epr.cli.importing import eventful
from kaa_epr.client import EndpointMetadata, EpmmpClient
from kaa_epr.config.settings import Settings
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.mongo import open_store
from kaa_epr.mongo.documents import Endpoint
from kaa_epr.mongo.transfer import (
    BadLine,
    Batch,
    GoodLine,
    ImportOptions,
    ImportProgress,
    export_endpoints,
    import_endpoints,
)
from kaa_epr.nats.outlet import SessionOutlet
from kaa_epr.nats.publisher import Publisher
from kaa_epr.nats.publishing import NatsUnreachable
from kaa_epr.nats.writer import WriterNumbers
from kaa_epr.register.commit.collaborators import Collaborators, no_events
from kaa_epr.register.commit.pipeline import Pipeline
from kaa_epr.register.decide.planners import select_planner
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.importing import EventfulImport, ImportStalled
from kaa_epr.register.intake.pure_value import PureValue
from tests.flows.register_support import Listener, register_settings, serving
from tests.flows.test_register_faults import left_behind
from tests.support.command import run

DRIVERS = ["motor", "pymongo"]


@pytest.fixture(params=DRIVERS)
def settings(
    request: pytest.FixtureRequest,
    nats_server: NatsServer,
    mongod: MongoServer,
    mongo_database: str,
    instance_name: str,
) -> Settings:
    return register_settings(
        nats_server.url,
        mongod.uri,
        instance_name,
        mongo_database,
        mongo={"driver": request.param},
        register={
            "enabled": False,
            "restricted_keys": {"*": ["locked"]},
            "claim_expiry": 1,
            "store_timeout": 0.5,
        },
    )


def line(endpoint_id: str, **fields: Any) -> dict[str, Any]:
    return {"endpointId": endpoint_id, "application": "app", "appVersion": {"name": "v1"}} | fields


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(content) + "\n" for content in lines))
    return path


async def import_lines(
    settings: Settings, path: Path, *lines: dict[str, Any], bad: list[BadLine] | None = None
) -> ImportProgress:
    write(path, *lines)
    store = open_store(settings.mongo, settings.store)
    try:
        async with eventful(settings, store) as write_batch:
            return await import_endpoints(
                path,
                store,
                write_batch,
                options=ImportOptions(batch_lines=3),
                on_bad_line=None if bad is None else bad.append,
            )
    finally:
        await store.close()


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[EpmmpClient]:
    servers = [str(server) for server in settings.nats.servers]
    async with EpmmpClient(servers=servers, repository=settings.service.instance_name) as client:
        yield client


async def cached(client: EpmmpClient, *ids: str) -> list[EndpointMetadata]:
    return [await client.get(id_) for id_ in ids]


async def test_responders_answer_with_what_was_imported(
    settings: Settings, listener: Listener, collection: Any, tmp_path: Path
) -> None:
    ids = ("a", "b", "c", "d")
    file = tmp_path / "f"
    async with serving(settings), asking(settings) as client:
        done = await import_lines(settings, file, *(line(id_, metadata={"n": 1, "s": None}) for id_ in ids))
        assert (done.created, done.changed, done.unchanged, done.bad) == (4, 0, 0, 0)
        assert [e.etag for e in await cached(client, *ids)] == ['"1"'] * 4
        assert [(e.kind, e.version) for e in await listener.settle()] == [("ep-registered", 1)] * 4

        listener.heard.clear()
        changed = [
            line("a", metadata={"n": 2, "new": [True]}),
            line("b", metadata={"n": 1, "s": None}, appVersion={"name": "v2"}),
            line("c", metadata={"n": 1.0, "s": None}, appVersion={"name": "v2"}, endpointToken="t"),
            line("d", metadata={"s": None, "n": 1}, endpointToken="u"),
        ]
        done = await import_lines(settings, file, *changed)
        assert (done.created, done.changed, done.unchanged, done.bad) == (0, 4, 0, 0)
        answers = await cached(client, *ids)
        heard = await listener.settle()
    assert [(e.etag, e.metadata, e.app_version_name) for e in answers] == [
        ('"2"', {"n": 2, "new": [True]}, "v1"),
        ('"2"', {"n": 1, "s": None}, "v2"),
        ('"3"', {"n": 1.0, "s": None}, "v2"),
        ('"2"', {"n": 1, "s": None}, "v1"),
    ]
    told = {(e.fields["endpointId"], e.version): (e.kind, e.fields) for e in heard}
    assert sorted(told) == [("a", 2), ("b", 2), ("c", 2), ("c", 3), ("d", 2)]
    assert [told[key][0].removeprefix("ep-") for key in sorted(told)] == [
        "metadata-updated",
        "appversion-updated",
        "appversion-updated",
        "metadata-updated",
        "metadata-updated",
    ]
    maps = {name: told["a", 2][1][name] for name in ("added", "removed", "updated")}
    assert maps == {
        "added": {"new": "[true]"},
        "removed": {"s": None},
        "updated": {"n": {"newValue": "2", "oldValue": "1"}},
    }
    assert told["c", 3][1]["updated"] == {"n": {"newValue": "1.0", "oldValue": "1"}}
    assert not any(told["d", 2][1][name] for name in ("added", "removed", "updated"))
    assert not [document for document in collection.find() if {"outbox", "outbox_claim"} & document.keys()]


async def test_importing_again_changes_and_publishes_nothing(
    settings: Settings, listener: Listener, collection: Any, tmp_path: Path
) -> None:
    lines = [line(f"e{number}", metadata={"n": number}) for number in range(10)]
    await import_lines(settings, tmp_path / "f", *lines)
    before = list(collection.find())
    assert len(await listener.settle()) == 10
    done = await import_lines(settings, tmp_path / "f", *lines)
    assert (done.created, done.changed, done.unchanged) == (0, 0, 10)
    assert list(collection.find()) == before
    assert len(await listener.settle()) == 10


async def test_a_line_that_breaks_a_rule_is_left_out_as_a_whole(
    settings: Settings, listener: Listener, collection: Any, tmp_path: Path
) -> None:
    collection.insert_one({"_id": "half", "version": Int64(4), "application": "app", "metadata": []})
    bad: list[BadLine] = []
    done = await import_lines(
        settings,
        tmp_path / "f",
        line("half", metadata={"locked": 1}, appVersion={"name": "v9"}),
        line("one", endpointToken="t"),
        line("two", endpointToken="t"),
        line("three", endpointToken="a+b"),
        line("four", metadata={"k" * 300: "s3cr3t"}),
        bad=bad,
    )
    assert (done.created, done.changed, done.bad) == (1, 0, 4)
    assert [(b.number, b.endpoint_id) for b in bad] == [(1, "half"), (3, "two"), (4, "three"), (5, "four")]
    assert "s3cr3t" not in repr(bad)
    assert collection.find_one({"_id": "half"})["version"] == 4
    assert [(e.fields["endpointId"], e.version) for e in await listener.settle()] == [("one", 1)]


async def test_tombstones_and_foreign_documents_go_on_from_what_they_are(
    settings: Settings, listener: Listener, collection: Any, tmp_path: Path
) -> None:
    collection.insert_many(
        [
            {"_id": "gone", "version": Int64(9), "deleted_at": datetime(2026, 1, 1, tzinfo=UTC)},
            {"_id": "foreign", "metadata": {"k": 1, "l": 2}, "theirs": 5},
        ]
    )
    done = await import_lines(
        settings, tmp_path / "f", line("gone"), line("foreign", metadata={"k": 2, "l": 2})
    )
    assert (done.created, done.changed) == (1, 1)
    versions = {e.fields["endpointId"]: e.version for e in await listener.settle()}
    assert versions == {"gone": 10, "foreign": 2}
    assert collection.find_one({"_id": "foreign"})["theirs"] == 5


async def test_what_an_import_that_died_left_behind_is_published_first(
    settings: Settings, listener: Listener, collection: Any, tmp_path: Path
) -> None:
    collection.insert_one(left_behind("e", datetime.now(UTC) - timedelta(hours=1)))
    done = await import_lines(settings, tmp_path / "f", line("e", metadata={"a": 2}))
    assert (done.changed, done.bad) == (1, 0)
    assert [e.version for e in await listener.settle()] == [4, 5, 6]


@pytest.mark.parametrize("settings", ["motor"], indirect=True)
async def test_an_export_comes_back_through_the_rules(
    settings: Settings, listener: Listener, collection: Any, tmp_path: Path
) -> None:
    """Foreign documents too: sub-documents, dates, binary data, int64 and doubles keep their kind."""
    values = {
        "i": 1,
        "l": Int64(1),
        "d": 1.0,
        "t": datetime(2026, 1, 1, tzinfo=UTC),
        "b": b"\0",
        "n": None,
        "o": {"x": [1]},
    }
    collection.insert_many(
        [
            {"_id": "ours", "version": Int64(3), "application_version": "v1", "metadata": items(values)},
            {"_id": "foreign", "metadata": values},
            {"_id": "bare"},
            {"_id": "gone", "version": Int64(2), "deleted_at": datetime(2026, 1, 1, tzinfo=UTC)},
        ]
    )
    exported = await export(settings)
    collection.delete_many({})
    lines = [json.loads(text) for text in exported.splitlines()]
    done = await import_lines(settings, tmp_path / "f", *lines)
    assert (done.created, done.bad) == (3, 0)
    assert await export(settings) == exported
    again = await import_lines(settings, tmp_path / "f", *lines)
    assert (again.created, again.changed, again.unchanged) == (0, 0, 3)
    assert len(await listener.settle()) == 3


def items(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in values.items()]


async def export(settings: Settings) -> str:
    store = open_store(settings.mongo, settings.store)
    lines: list[str] = []
    try:
        await export_endpoints(store, lines.append)
    finally:
        await store.close()
    return "".join(lines)


@pytest.mark.parametrize("settings", ["motor"], indirect=True)
async def test_without_nats_nothing_is_changed(
    settings: Settings, collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_CONNECT_SECONDS", 1.0)
    away = settings.model_copy(
        update={"nats": settings.nats.model_copy(update={"servers": ("nats://127.0.0.1:1",)})}
    )
    store = open_store(settings.mongo, settings.store)
    with pytest.raises(NatsUnreachable):
        async with eventful(away, store):
            pytest.fail("there is no connection")
    await store.close()
    assert collection.count_documents({}) == 0


@pytest.mark.parametrize("settings", ["motor"], indirect=True)
async def test_a_batch_that_cannot_be_written_ends_the_import_at_its_line(settings: Settings) -> None:
    """The connection is lost, so there are no rules for its payloads, and does not come back."""
    store, outlet = open_store(settings.mongo, settings.store), SessionOutlet()
    planner = select_planner(settings.engine, Rules())
    publisher = Publisher("i", outlet, WriterNumbers("i"))
    pipeline = Pipeline(Collaborators(store, publisher, planner, no_events, "r"))
    with pytest.raises(ImportStalled, match=r"line 7: NATS is not connected"):
        await EventfulImport(pipeline, planner, PureValue.of_document, "c", 0).write(
            Batch(good={"e": GoodLine(7, Endpoint("e"))})
        )
    await store.close()


@pytest.mark.parametrize("settings", ["motor"], indirect=True)
async def test_no_events_is_an_explicit_choice(
    settings: Settings, listener: Listener, mongod: MongoServer, mongo_database: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "f.jsonl", line("e"))
    reach = [
        "--mongo",
        mongod.uri,
        "--database",
        mongo_database,
        "--instance",
        settings.service.instance_name,
    ]
    done = run("import", str(file), "--no-events", "--nats", "nats://127.0.0.1:1", *reach)
    assert done.returncode == 0, done.stderr
    assert await listener.settle() == []
    write(file, line("e", metadata={"n": 1}))
    done = run("import", str(file), "--nats", str(settings.nats.servers[0]), *reach)
    assert done.returncode == 0, done.stderr
    assert "1 lines: 0 created, 1 changed, 0 unchanged, 0 bad" in done.stderr
    assert [e.version for e in await listener.settle()] == [2]
