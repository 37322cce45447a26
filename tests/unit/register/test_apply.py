"""Commands on states: what they make of them, which event tells of it, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Int64

from kaa_epr.refusals import (
    EndpointUnknown,
    Invalid,
    KeyUnknown,
    Refusal,
    Restricted,
    Taken,
    TooLarge,
    Unusable,
)
from kaa_epr.register.decide.apply import (
    AppVersionUpdated,
    MetadataUpdated,
    Registered,
    Unregistered,
    apply,
)
from kaa_epr.register.decide.diff import MetadataDiff
from kaa_epr.register.decide.json_patch import parse
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.state import EndpointState, absent, decode_state, update_between
from kaa_epr.register.decide.values import text_of
from kaa_epr.register.intake.commands import (
    DeleteKey,
    PatchMetadata,
    PutKeys,
    Register,
    ReplaceMetadata,
    SetAppVersion,
    SingleCommand,
    Unregister,
)

NOW = datetime(2026, 5, 4, 3, 2, 1, 7000, tzinfo=UTC)
REGISTER = Register("app", "app-v1", "token", {"model": "m"})


def known(**metadata: Any) -> EndpointState:
    return EndpointState(
        "e",
        version=7,
        stored_version=7,
        application="app",
        application_version="app-v1",
        endpoint_token="t",
        metadata=metadata,
        others=("foreign",),
    )


def test_registering_the_unknown() -> None:
    change = apply(absent("e"), REGISTER, Rules(), NOW)
    assert change.event == Registered("app-v1")
    assert (change.state.version, change.state.created_at) == (1, NOW)


def test_registering_over_a_tombstone_goes_on_from_its_version() -> None:
    tombstone = EndpointState("e", version=9, deleted_at=NOW, stored_version=9)
    change = apply(tombstone, REGISTER, Rules(), NOW)
    assert change.state.version == 10
    assert update_between(tombstone, change.state)[1] == {"deleted_at": ""}


def test_registering_twice_is_refused_but_for_the_task_that_did_it() -> None:
    with pytest.raises(Taken, match="endpointId"):
        apply(known(), REGISTER, Rules(), NOW)
    task = Register("app", "app-v1", "token", {}, task="t1")
    done = apply(absent("e"), task, Rules(), NOW).state
    assert apply(done, task, Rules(), NOW).event is None


def test_unregistering_leaves_a_tombstone_and_nothing_else() -> None:
    state = known(a=1)
    change = apply(state, Unregister(), Rules(), NOW)
    assert change.event == Unregistered("app-v1")
    set_, unset = update_between(state, change.state)
    assert set_ == {"version": Int64(8), "deleted_at": NOW}
    assert set(unset) == {"application", "application_version", "endpoint_token", "metadata", "foreign"}


def test_moving_to_another_application_version() -> None:
    change = apply(known(), SetAppVersion("app", "app-v2"), Rules(), NOW)
    assert change.event == AppVersionUpdated("app-v2", "app-v1")
    assert change.state.app_version_registered_at == NOW
    assert apply(known(), SetAppVersion("app", "app-v1"), Rules(), NOW).event is None


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (ReplaceMetadata({"b": 2}), {"b": 2}),
        (PutKeys({"a": 5, "c": None}), {"a": 5, "b": 2, "c": None}),
        (DeleteKey("a"), {"b": 2}),
        (PatchMetadata(parse([{"op": "move", "from": "/a", "path": "/z"}])), {"b": 2, "z": 1}),
        (PatchMetadata(parse([{"op": "replace", "path": "", "value": {}}])), {}),
    ],
)
def test_changing_metadata(command: SingleCommand, expected: dict[str, Any]) -> None:
    change = apply(known(a=1, b=2), command, Rules(), NOW)
    assert list(change.state.metadata.items()) == list(expected.items())
    assert change.state.version == 8


def test_a_change_is_exact_against_the_version_before_if_there_was_one() -> None:
    command = ReplaceMetadata({"c": 0, "b": 3})
    state = known(a=1, b=2)
    change = apply(state, command, Rules(), NOW)
    assert change.event == MetadataUpdated(
        "app-v1", MetadataDiff({"c": "0"}, {"a": "1"}, {"b": ("3", "2")}), 7
    )
    assert list(change.state.metadata) == ["b", "c"], "what stays keeps its place, what is new comes last"
    unnumbered = apply(replace(state, version=None), command, Rules(), NOW).event
    assert isinstance(unnumbered, MetadataUpdated)
    assert unnumbered.base is None


REFERENCE = {"$id": 1, "$ref": "things"}


def test_texts_are_those_that_gets_print() -> None:
    assert text_of(REFERENCE) == '{"$ref":"things","$id":1}', "read back as a DBRef"
    assert text_of({"$ref": "things"}) == '{"$ref":"things"}'
    assert text_of([{"$date": "$ref"}]) == '[{"$date":"$ref"}]'


@pytest.mark.parametrize("name", ["items", "__iter__"])
def test_what_gets_could_not_print_is_refused(name: str) -> None:
    value = [{**REFERENCE, name: 1}]
    with pytest.raises(Invalid, match="no JSON form"):
        apply(known(), PutKeys({"a": value}), Rules(), NOW)
    with pytest.raises(Invalid, match=r"metadata\.a\.0: .* no JSON form"):
        apply(absent("e"), Register("app", "app-v1", "token", {"a": value}), Rules(), NOW)


@pytest.mark.parametrize(
    "command", [ReplaceMetadata({"b": 2, "a": 1}), PutKeys({}), PutKeys({"a": 1}), PatchMetadata(())]
)
def test_what_changes_nothing_keeps_the_version(command: SingleCommand) -> None:
    state = known(a=1, b=2)
    assert apply(state, command, Rules(), NOW).state is state


@pytest.mark.parametrize("value", [1.0, True, "1", [1]])
def test_kinds_of_values_differ(value: Any) -> None:
    assert apply(known(a=1), PutKeys({"a": value}), Rules(), NOW).event is not None


@pytest.mark.parametrize(
    "command", [Unregister(), PutKeys({"a": 1}), SetAppVersion("a", "b"), DeleteKey("a")]
)
def test_nothing_is_done_to_the_unknown(command: SingleCommand) -> None:
    for state in (absent("e"), EndpointState("e", version=1, deleted_at=NOW)):
        with pytest.raises(EndpointUnknown):
            apply(state, command, Rules(), NOW)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


RULES = Rules(
    max_keys=3,
    max_key_length=5,
    max_depth=4,
    max_metadata_bytes=200,
    key_pattern=re.compile("[a-z]+"),
    restricted={"app": ["lock"], "*": ["all"], "other": ["mine"]},
)


@pytest.mark.parametrize(
    ("command", "error", "field"),
    [
        (PutKeys({"": 1}), Invalid, "metadata"),
        (PutKeys({"a\0": 1}), Invalid, "metadata.a"),
        (PutKeys({"A": 1}), Invalid, "metadata.A"),
        (PutKeys({"abcdef": 1}), Invalid, "metadata"),
        (PutKeys({"a": 1, "b": 1, "c": 1, "d": 1}), TooLarge, "metadata"),
        (PutKeys({"a": nested(5)}), Invalid, "metadata.a"),
        (PutKeys({"a": 2**63}), Invalid, "metadata.a"),
        (PutKeys({"a": {"x\0": 1}}), Invalid, "metadata.a"),
        (PutKeys({"a": "\ud800"}), Invalid, "metadata.a"),
        (PutKeys({"a": "x" * 200}), TooLarge, "metadata"),
        (PutKeys({"lock": 1}), Restricted, "metadata.lock"),
        (PutKeys({"all": 1}), Restricted, "metadata.all"),
        (PatchMetadata(parse([{"op": "remove", "path": ""}])), Invalid, "patch"),
        (DeleteKey("none"), KeyUnknown, "key"),
        (SetAppVersion("app", "x" * 2000), Invalid, "appVersion.name"),
        (Register("app", "v", "to/ken"), Invalid, "endpointToken"),
        (Register("app", "v", "t", {"lock": 1}), Restricted, "metadata.lock"),
    ],
)
def test_refusals_name_the_field_and_no_value(
    command: SingleCommand, error: type[Refusal], field: str
) -> None:
    state = absent("e") if isinstance(command, Register) else known()
    with pytest.raises(error) as caught:
        apply(state, command, RULES, NOW)
    assert field in str(caught.value)


def test_restricted_keys_may_stay_as_they_are() -> None:
    state = known(lock=1, a=1)
    assert apply(state, ReplaceMetadata({"lock": 1, "a": 2}), RULES, NOW).event is not None
    assert apply(state, PutKeys({"mine": 2}), RULES, NOW).event is not None
    for command in (ReplaceMetadata({"a": 2}), DeleteKey("lock"), PutKeys({"lock": 2})):
        with pytest.raises(Restricted):
            apply(state, command, RULES, NOW)


@pytest.mark.parametrize(
    "document",
    [
        {"_id": "e", "metadata": 5},
        {"_id": "e", "metadata": [{"value": 1}]},
        {"_id": "e", "metadata": [{"key": 1, "value": 1}]},
        {"_id": "e", "version": "7"},
        {"_id": "e", "version": 7.5},
        {"_id": "e", "version": float("nan")},
    ],
)
def test_documents_that_cannot_be_used(document: dict[str, Any]) -> None:
    with pytest.raises(Unusable):
        decode_state(bson.encode(document))


def test_foreign_documents_are_tolerated() -> None:
    state = decode_state(bson.encode({"_id": "e", "metadata": {"a": 1}, "version": 3.0, "x": 1}))
    assert (state.metadata, state.version, state.others, state.known) == ({"a": 1}, 3, ("x",), True)
    bare = decode_state(bson.encode({"_id": "e"}))
    assert (bare.version, bare.etag) == (None, None)
    assert apply(bare, PutKeys({"a": 1}), Rules(), NOW).state.etag == '"1"'
