"""Documents of others, damaged ones, and outboxes that wait."""

from __future__ import annotations

import re
from typing import Any

import bson
import pytest

from kaa_epr.refusals import (
    Taken,
    Unusable,
)
from kaa_epr.register.decide.api import (
    Outcome,
    Planner,
    Request,
    Status,
    Work,
)
from tests.support.planning import (
    AUTHOR,
    CLAIM,
    LIMITS,
    NOW,
    NOW_MS,
    items,
    known,
    only_event,
    patch,
    plan,
    register,
    told,
)

BROKEN: list[dict[str, Any]] = [
    {"_id": "e", "metadata": 5, "version": 7},
    {"_id": "e", "metadata": [{"value": 1}], "version": 7},
    {"_id": "e", "metadata": [{"key": 1, "value": 1}]},
    {"_id": "e", "version": "7"},
    {"_id": "e", "version": 7.5, "metadata": {"a": 1}},
    {"_id": "e", "version": float("nan")},
    {"_id": "e", "version": {"$gt": 1}},
    {"_id": "e", "version": re.compile("7")},
]


@pytest.mark.parametrize("stored", BROKEN)
def test_unreadable_documents_take_no_small_changes(engine: Planner, stored: dict[str, Any]) -> None:
    for command in (
        engine.put_keys(items({"a": 1})),
        engine.delete_key("a"),
        engine.set_app_version("a", "b"),
        patch(engine, []),
    ):
        with pytest.raises(Unusable):
            plan(engine, stored, command).outcome()
    with pytest.raises(Taken):
        plan(engine, stored, register(engine)).outcome()


@pytest.mark.parametrize("stored", BROKEN)
def test_unreadable_documents_are_repaired_by_new_metadata_or_unregistered(
    engine: Planner, stored: dict[str, Any]
) -> None:
    done = plan(engine, stored, engine.replace_metadata(items({"a": 1})), engine.put_keys(items({"b": 2})))
    first, second = done.outcomes
    assert isinstance(first, Outcome)
    assert isinstance(second, Outcome)
    readable = isinstance(stored.get("version"), int)
    # Above every version that grew by one.
    assert first.version == (8 if readable else 1 if "version" not in stored else NOW_MS)
    assert (first.version or 0) + 1 == second.version
    assert done.events[0].base is None
    assert done.metadata == {"a": 1, "b": 2}
    gone = plan(engine, stored, engine.unregister())
    assert gone.document == {"_id": "e", "version": first.version, "deleted_at": NOW}
    # What could be taken for an operator or a pattern is compared as what it is.
    numeric = isinstance(stored.get("version", 0), int | float)
    assert numeric or list(gone.condition["version"]) == ["$eq"]


def test_names_that_are_no_strings_count_as_absent_and_go_with_new_metadata(engine: Planner) -> None:
    stored = known(a=1) | {"application_version": 5}
    done = plan(engine, stored, engine.put_keys(items({"a": 2})))
    assert only_event(done)[1]["appVersionName"] == ""
    assert done.document is not None
    assert done.document["application_version"] == 5
    done = plan(engine, stored, engine.replace_metadata(items({"a": 1})))
    assert done.outcome().changed, "gets could not be answered before"
    assert done.update["$unset"] == {"application_version": ""}
    moved = plan(engine, stored, engine.set_app_version("app", "app-v2"))
    assert told(moved.events[0]) == {"appVersionName": "app-v2", "previousAppVersionName": ""}


def test_fields_that_cannot_be_read_go_with_new_metadata(engine: Planner) -> None:
    stored = bson.encode(known(a=1) | {"odd": "XX", "good": 1}).replace(b"XX", b"\xff\xff")
    with pytest.raises(Unusable):
        plan(engine, stored, engine.put_keys(items({"a": 2}))).outcome()
    done = plan(engine, stored, engine.replace_metadata(items({"a": 1})))
    assert done.update["$unset"] == {"odd": ""}
    assert done.document is not None
    assert done.document["good"] == 1


def test_what_is_no_document_is_refused(engine: Planner) -> None:
    for stored in (b"", b"\5\0\0\0\1", bson.encode({"_id": "e"})[:-1]):
        [planned] = engine.plan(
            [Work("e", stored, [Request(engine.unregister(), "c")])], AUTHOR, CLAIM, LIMITS
        )
        assert (planned.status, planned.outcomes) == (Status.UNUSABLE, [])


def test_foreign_documents_are_tolerated(engine: Planner) -> None:
    done = plan(
        engine, {"_id": "e", "metadata": {"a": 1}, "version": 3.0, "x": 1}, engine.put_keys(items({"b": 2}))
    )
    assert done.document is not None
    assert (done.metadata, done.document["version"], done.document["x"]) == ({"a": 1, "b": 2}, 4, 1)
    assert done.condition["version"] == 3.0
    assert plan(engine, {"_id": "e"}, engine.put_keys(items({"a": 1}))).outcome().etag == '"1"'


def test_an_outbox_must_be_published_first(engine: Planner) -> None:
    for outbox in ([], None, [1]):
        stored = known() | {"outbox": outbox}
        done = plan(engine, stored, engine.unregister())
        assert (done.planned.status, done.outcomes, done.events) == (Status.PENDING, [], [])
        silent = plan(engine, stored, engine.unregister(), claim=None)
        assert silent.outcome().changed


def test_without_a_claim_nothing_is_told(engine: Planner) -> None:
    done = plan(engine, known(a=1), engine.put_keys(items({"a": 2})), claim=None)
    assert set(done.update) == {"$set", "$setOnInsert"}
    assert set(done.update["$set"]) == {"version", "metadata", "metadata_updated_at"}
    assert "outbox" not in done.condition
    assert "$setOnInsert" not in plan(engine, None, register(engine), claim=None).update
