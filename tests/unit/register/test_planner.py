"""Commands on stored documents: what they make of them, and which events tell of it."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import Int64

from kaa_epr.messages.outgoing import EventKind
from kaa_epr.refusals import (
    EndpointUnknown,
    Invalid,
    Taken,
)
from kaa_epr.register.decide.api import (
    Command,
    Outcome,
    Planner,
    Request,
)
from tests.support.planning import (
    NOW,
    REFERENCE,
    TOMBSTONE,
    items,
    known,
    metadata_updated,
    only_event,
    patch,
    plan,
    register,
)


def test_registering_the_unknown(engine: Planner) -> None:
    done = plan(engine, None, register(engine, {"model": "m"}, task="t1"))
    assert done.outcome() == Outcome(changed=True, version=1, created=True)
    assert only_event(done) == (EventKind.REGISTERED, {"appVersionName": "app-v1"})
    assert done.condition == {"_id": "e", "version": -1}
    assert done.update["$currentDate"] == {"outbox_claim.at": True}
    assert "$setOnInsert" not in done.update
    assert done.document == {
        "_id": "e",
        "version": 1,
        "app_version_registered_at": NOW,
        "application": "app",
        "application_version": "app-v1",
        "created_at": NOW,
        "endpoint_token": "token",
        "metadata": [{"key": "model", "value": "m"}],
        "metadata_updated_at": NOW,
        "registration": "t1",
    }


def test_registering_over_a_tombstone_goes_on_from_its_version(engine: Planner) -> None:
    done = plan(engine, TOMBSTONE, register(engine))
    assert done.outcome().version == 10
    assert done.update["$unset"] == {"deleted_at": ""}
    assert done.condition == {"_id": "e", "version": 9, "outbox": {"$exists": False}}


def test_registering_twice_is_refused_but_for_the_task_that_did_it(engine: Planner) -> None:
    with pytest.raises(Taken, match="endpointId"):
        plan(engine, known(), register(engine)).outcome()
    done = plan(engine, known() | {"registration": "t1"}, register(engine, task="t1"))
    assert done.outcome() == Outcome(changed=False, version=7)
    assert not done.events
    with pytest.raises(Taken):
        plan(engine, known() | {"registration": "t1"}, register(engine, task="t2")).outcome()


def test_unregistering_leaves_a_tombstone_and_nothing_else(engine: Planner) -> None:
    done = plan(engine, known(a=1), engine.unregister())
    assert only_event(done) == (EventKind.UNREGISTERED, {"appVersionName": "app-v1"})
    assert done.document == {"_id": "e", "version": 8, "deleted_at": NOW}
    gone = ["application", "application_version", "endpoint_token", "metadata", "foreign"]
    assert list(done.update["$unset"]) == gone
    assert isinstance(done.update["$set"]["version"], Int64)


def test_unregistering_and_registering_at_once_leaves_nothing_of_the_one_before(engine: Planner) -> None:
    done = plan(engine, known(a=1), engine.unregister(), register(engine, {"b": 2}))
    assert [event.version for event in done.events] == [8, 9]
    assert done.document is not None
    assert "foreign" not in done.document
    assert done.document["created_at"] == NOW
    assert done.metadata == {"b": 2}


def test_moving_to_another_application_version(engine: Planner) -> None:
    done = plan(engine, known(), engine.set_app_version("app", "app-v2"))
    event = {"appVersionName": "app-v2", "previousAppVersionName": "app-v1"}
    assert only_event(done) == (EventKind.APP_VERSION_UPDATED, event)
    assert done.update["$set"].items() >= {"app_version_registered_at": NOW, "version": 8}.items()
    assert "metadata" not in done.update["$set"]
    assert not plan(engine, known(), engine.set_app_version("app", "app-v1")).outcome().changed


def _changes(engine: Planner) -> list[tuple[Command, dict[str, Any]]]:
    return [
        (engine.replace_metadata(items({"b": 2})), {"b": 2}),
        (engine.put_keys(items({"a": 5, "c": None})), {"a": 5, "b": 2, "c": None}),
        (engine.delete_key("a"), {"b": 2}),
        (patch(engine, [{"op": "move", "from": "/a", "path": "/z"}]), {"b": 2, "z": 1}),
        (patch(engine, [{"op": "replace", "path": "", "value": {}}]), {}),
    ]


@pytest.mark.parametrize("case", range(5))
def test_changing_metadata(engine: Planner, case: int) -> None:
    command, expected = _changes(engine)[case]
    done = plan(engine, known(a=1, b=2), command)
    assert list(done.metadata.items()) == list(expected.items())
    assert done.outcome().version == 8


def test_a_change_is_exact_against_the_version_before_if_there_was_one(engine: Planner) -> None:
    command = engine.replace_metadata(items({"c": 0, "b": 3}))
    done = plan(engine, known(a=1, b=2), command)
    changed = {"b": {"newValue": "3", "oldValue": "2"}}
    assert only_event(done) == metadata_updated(added={"c": "0"}, removed={"a": "1"}, updated=changed)
    assert done.events[0].base == 7
    assert list(done.metadata) == ["b", "c"], "what stays keeps its place, what is new comes last"
    unnumbered = {name: value for name, value in known(a=1).items() if name != "version"}
    done = plan(engine, unnumbered, command)
    assert done.events[0].base is None
    assert done.condition["version"] is None


def test_null_is_told_as_null(engine: Planner) -> None:
    done = plan(engine, known(a=None, b=1), engine.replace_metadata(items({"b": None, "c": None})))
    changed = {"b": {"newValue": None, "oldValue": "1"}}
    assert only_event(done) == metadata_updated(added={"c": None}, removed={"a": None}, updated=changed)


@pytest.mark.parametrize("name", ["items", "__iter__"])
def test_what_gets_could_not_print_is_refused(engine: Planner, name: str) -> None:
    value = [{**REFERENCE, name: 1}]
    with pytest.raises(Invalid, match=r"metadata\.a: .* no JSON form"):
        plan(engine, known(), engine.put_keys(items({"a": value}))).outcome()
    with pytest.raises(Invalid, match=r"metadata\.a\.0: .* no JSON form"):
        plan(engine, None, register(engine, {"a": value})).outcome()


def test_a_stored_value_without_json_form_can_be_replaced_and_removed(engine: Planner) -> None:
    stored = known(a={**REFERENCE, "items": 1}, b=2)
    done = plan(engine, stored, engine.put_keys(items({"a": 1})))
    assert only_event(done) == metadata_updated(updated={"a": {"newValue": "1", "oldValue": None}})
    assert done.events[0].base is None, "nobody can have printed the old value"
    done = plan(engine, stored, engine.delete_key("a"))
    assert only_event(done) == metadata_updated(removed={"a": None})
    assert done.metadata == {"b": 2}


def _idle(engine: Planner) -> list[Command]:
    return [
        engine.replace_metadata(items({"b": 2, "a": 1})),
        engine.put_keys([]),
        engine.put_keys(items({"a": 1})),
        engine.put_keys(items({"b": Int64(2)})),
        patch(engine, []),
    ]


@pytest.mark.parametrize("case", range(5))
def test_what_changes_nothing_keeps_the_version(engine: Planner, case: int) -> None:
    stored = bson.encode(known(a=1, b=2))
    done = plan(engine, stored, _idle(engine)[case])
    assert done.outcome() == Outcome(changed=False, version=7)
    assert (done.planned.condition, done.planned.update, done.planned.document) == (b"", b"", stored)


@pytest.mark.parametrize("value", [1.0, True, "1", [1]])
def test_kinds_of_values_differ(engine: Planner, value: Any) -> None:
    assert plan(engine, known(a=1), engine.put_keys(items({"a": value}))).outcome().changed


def test_untouched_values_keep_their_types(engine: Planner) -> None:
    stored = known(a=Int64(1), b=REFERENCE, c=bson.Decimal128("1.50"), d=1)
    done = plan(engine, stored, engine.replace_metadata(items({"a": 1, "b": REFERENCE, "d": 2, "e": 3})))
    assert only_event(done)[1]["updated"].keys() == {"d"}
    assert list(done.metadata) == ["a", "b", "d", "e"]
    assert isinstance(done.metadata["a"], Int64)


def _singles(engine: Planner) -> list[Command]:
    return [
        engine.unregister(),
        engine.put_keys(items({"a": 1})),
        engine.set_app_version("a", "b"),
        engine.delete_key("a"),
        engine.replace_metadata([]),
        patch(engine, []),
    ]


@pytest.mark.parametrize("case", range(6))
def test_nothing_is_done_to_the_unknown(engine: Planner, case: int) -> None:
    for stored in (None, TOMBSTONE):
        request = Request(_singles(engine)[case], "c-1", if_match='"1"')
        with pytest.raises(EndpointUnknown):
            plan(engine, stored, request).outcome()
