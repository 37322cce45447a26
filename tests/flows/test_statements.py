"""Conditional writes that are BSON already, against a real mongod: as bulk writes of the driver are."""

from __future__ import annotations

from typing import Any, Final

import bson
import pytest
from bson import Int64

from kaa_epr.mongo import statements
from kaa_epr.mongo.api import Statement, WriteFailure
from kaa_epr.mongo.conditional import is_race, is_taken_token, is_too_large
from kaa_epr.mongo.register_api import RegisterStore
from tests.support.store_commands import COMMANDS

SECONDS: Final = 20.0


def statement(endpoint_id: str, version: int | None, **fields: Any) -> Statement:
    """Makes ``version`` the next, if the document has it; None: makes a document."""
    condition = {"_id": endpoint_id, "version": Int64(-1 if version is None else version)}
    update: dict[str, Any] = {"$set": {"version": Int64((version or 0) + 1), **fields}}
    if version is not None:
        update["$setOnInsert"] = {"_id": None}
    return Statement(bson.encode(condition), bson.encode(update))


def stored(collection: Any) -> dict[str, int]:
    return {document["_id"]: document["version"] for document in collection.find()}


async def test_all_go_in_one_command(store: RegisterStore, collection: Any, mongo_database: str) -> None:
    collection.insert_one({"_id": "e0", "version": Int64(6)})
    COMMANDS.watch(mongo_database)
    outcome = await store.upsert(
        [statement("e0", 6, n=0), *(statement(f"e{n}", None, n=n) for n in range(1, 500))], SECONDS
    )
    assert (outcome.applied, outcome.failures) == (500, ())
    assert (COMMANDS.seen, COMMANDS.statements) == ({"update": 1}, {"update": 500})
    assert stored(collection) == {"e0": 7, **{f"e{n}": 1 for n in range(1, 500)}}


async def test_each_failure_is_told_and_costs_no_other_anything(
    store: RegisterStore, collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two messages, so that positions are those of the caller."""
    monkeypatch.setattr(statements, "MAX_MESSAGE", 400)
    collection.create_index([("application", 1), ("endpoint_token", 1)], unique=True, sparse=True)
    collection.insert_many(
        [{"_id": "a", "version": Int64(2), "endpoint_token": "t"}, {"_id": "b", "version": Int64(2)}]
    )
    outcome = await store.upsert(
        [
            statement("a", 2),
            statement("b", 1),
            statement("c", None),
            statement("a", None),
            statement("d", None, endpoint_token="t"),
            statement("b", 2),
            Statement(
                bson.encode({"_id": "large"}), bson.encode({"$set": {"x": "x" * statements.MAX_STATEMENT}})
            ),
        ],
        SECONDS,
    )
    failures = sorted(outcome.failures)
    assert [failure.position for failure in failures] == [1, 3, 4, 6]
    assert [is_race(failure) for failure in failures] == [True, True, False, False]
    assert is_taken_token(failures[2])
    assert is_too_large(failures[3])
    assert outcome.applied == 3
    assert stored(collection) == {"a": 3, "b": 3, "c": 1}


async def test_what_quotes_invalid_text_is_told_too(store: RegisterStore, collection: Any) -> None:
    """The server's text of a duplicate key repeats the value."""
    collection.create_index("endpoint_token", unique=True, sparse=True)
    update = bson.encode({"$set": {"endpoint_token": "XX"}}).replace(b"XX", b"\xff\xff")
    one, two = (Statement(bson.encode({"_id": id_, "version": -1}), update) for id_ in ("one", "two"))
    outcome = await store.upsert([one, two], SECONDS)
    assert outcome.failures == (WriteFailure(1, 11_000, ("endpoint_token",)),)
