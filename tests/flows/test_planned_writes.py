"""What planners promise of their statements, against a real mongod: documents become what they say."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import bson
import pytest
from bson import Int64
from bson.raw_bson import RawBSONDocument
from pymongo.errors import WriteError

from kaa_epr.mongo.lenient import LENIENT
from kaa_epr.register.decide.api import Command, Planner
from tests.support.odd_claims import CLAIMS, NO_DOCUMENTS
from tests.support.planning import CLAIM, NOW, PLANNERS, Done, items, known, plan, planner, register

_REGEX = bson.Regex("7", "i")


@pytest.fixture(params=PLANNERS)
def engine(request: pytest.FixtureRequest) -> Planner:
    """Under the usual rules."""
    return planner(request.param)


def carry_out(collection: Any, done: Done) -> None:
    """The write as the register sends it."""
    collection.update_one(
        RawBSONDocument(done.planned.condition), RawBSONDocument(done.planned.update), upsert=True
    )


def clear(collection: Any) -> None:
    """Outboxes, once they are published."""
    collection.update_many({}, {"$unset": {"outbox": "", "outbox_claim": ""}})


def raw(collection: Any) -> bytes:
    """The only document as it is stored."""
    options = collection.with_options(bson.raw_bson.DEFAULT_RAW_BSON_OPTIONS)
    return bytes(options.find_one().raw)


CLAIMS_REPLACED = {"tombstone with a claim", *(f"claim {name}" for name in NO_DOCUMENTS)}
DOCUMENTS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "ours": known(a=1, b="x"),
    "bare": {"_id": "e"},
    "tombstone": {"_id": "e", "deleted_at": NOW, "version": Int64(4)},
    "double version": {"zzz": 1, "_id": "e", "version": 3.0, "metadata": {"a": 1}, "application": "app"},
    "null version": {"_id": "e", "version": None, "metadata": []},
    "text version": {"_id": "e", "version": "seven", "metadata": []},
    "not a number": {"_id": "e", "version": float("nan")},
    "operator version": {"_id": "e", "version": {"x": {"$gt": 1}}},
    "pattern version": {"_id": "e", "version": _REGEX},
    "array version": {"_id": "e", "version": [7, 8]},
    "metadata 5": {"_id": "e", "metadata": 5, "foreign": {"deep": [1]}},
    "odd names": {"_id": "e", "application_version": 5, "created_at": "then", "version": 1, "metadata": []},
    **{f"claim {name}": {**known(a=1), "outbox_claim": claim} for name, claim in CLAIMS.items()},
    "tombstone with a claim": {"_id": "e", "deleted_at": NOW, "version": Int64(4), "outbox_claim": "x"},
    "named with dots": {"_id": "e", "version": 1, "a.b": 1, "metadata": [], "c": 1},
}


def _commands(engine: Planner) -> list[Command]:
    return [
        register(engine, {"a": 1}, task="t"),
        engine.replace_metadata(items({"b": [1, {"x": None}], "a": 2})),
        engine.put_keys(items({"k": 1})),
        engine.set_app_version("app", "app-v2"),
        engine.unregister(),
        engine.import_endpoint("app", "app-v2", None, items({"a": 1})),
    ]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_become_what_the_plan_says(engine: Planner, collection: Any, name: str) -> None:
    written = 0
    for command in _commands(engine):
        collection.delete_many({})
        stored = DOCUMENTS[name]
        if stored is not None:
            collection.insert_one(dict(stored))
        before = raw(collection) if stored is not None else None
        done = plan(engine, before, command)
        if not done.events:
            continue
        carry_out(collection, done)
        found = collection.with_options(LENIENT).find_one()
        assert found["outbox"][0]["payload"] == done.events[0].payload
        claim = found["outbox_claim"]
        assert (claim["by"], claim["id"], type(claim["at"])) == (*CLAIM, datetime)
        # The server's clock but where it cannot be had.
        assert (claim["at"] == NOW) == (name in CLAIMS_REPLACED)
        clear(collection)
        assert raw(collection) == done.planned.document
        written += 1
    assert written


@pytest.mark.parametrize("name", [name for name, stored in DOCUMENTS.items() if stored is not None])
def test_a_document_that_has_changed_since_is_not_written(
    engine: Planner, collection: Any, name: str
) -> None:
    collection.insert_one(dict(DOCUMENTS[name] or {}))
    done = plan(engine, raw(collection), engine.import_endpoint("app", "app-v9", "t", items({"n": 9})))
    assert done.events
    for change in ({"version": Int64(99)}, {"version": "other"}):
        collection.update_one({}, {"$set": change})
        with pytest.raises(WriteError) as caught:
            carry_out(collection, done)
        assert caught.value.code == 66
    assert collection.count_documents({}) == 1


def test_an_endpoint_that_another_made_meanwhile_is_not_written(engine: Planner, collection: Any) -> None:
    done = plan(engine, None, register(engine))
    carry_out(collection, done)
    with pytest.raises(WriteError) as caught:
        carry_out(collection, done)
    assert caught.value.code == 11_000
