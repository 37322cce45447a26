"""Stored documents and commands as tests of the planners make them, the same for both planners."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import bson
from hypothesis import strategies as st

from kaa_epr.refusals import Refusal
from kaa_epr.register.decide.api import Command, OnlyAt, Planned, Planner, Request, Show
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.intake.pure_value import PureValue
from tests.property.documents import (
    NULL,
    Raw,
    array,
    document,
    double,
    int64,
    metadata_array,
    relength,
    text,
    values,
)
from tests.property.messages import mutations

Make = Callable[[Planner], Command]
"""A command for whichever planner carries it out."""

KEYS = ("a", "b", "key", "é", "", "$id", "items", "a.b", "x" * 9, "Z", "a\0b", "line\n")
_keys = st.sampled_from(KEYS)
_pairs = st.lists(st.tuples(_keys, values), max_size=5)
_names = st.sampled_from([*["app", "v1", "v2", "t", "é"] * 4, "", "a\0", "to/ken", "n" * 1025])
_optional_names = st.none() | _names
_dates = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1_777_852_800_007, -1])
_date_values = _dates.map(lambda ms: Raw(9, ms.to_bytes(8, "little", signed=True)))
_versions = st.one_of(
    st.sampled_from([int64(7), int64(-1), int64(2**63 - 1), double(3.0), double(3.5), double(2.0**63)]),
    st.sampled_from([NULL, Raw(16, b"\5\0\0\0"), Raw(6, b""), double(float("nan"))]),
)
_texts = _names.map(text)
_items = st.sampled_from(
    [
        Raw(3, document([("value", int64(1)), ("key", text("a")), ("note", NULL)])),
        Raw(3, document([("key", text("only"))])),
        Raw(3, document([("key", text("a")), ("key", text("b")), ("value", NULL), ("value", int64(2))])),
        Raw(3, document([("key", Raw(14, text("symbol").data)), ("value", Raw(6, b""))])),
        Raw(3, document([("key", int64(1)), ("value", int64(1))])),
        int64(1),
    ]
)
_metadata = st.one_of(
    *[_pairs.map(metadata_array)] * 6,
    _pairs.map(lambda pairs: metadata_array([*pairs, *pairs[:1]])),
    _pairs.map(lambda pairs: Raw(3, document(pairs))),
    st.lists(_items, max_size=3).map(array),
    values,
)


def _mostly(
    usual: st.SearchStrategy[Raw], odd: st.SearchStrategy[Raw], wild: st.SearchStrategy[Raw]
) -> st.SearchStrategy[Raw]:
    return st.integers(0, 9).flatmap(lambda how: usual if how < 6 else odd if how < 9 else wild)


_claims = st.one_of(
    values,
    st.sampled_from([NULL, Raw(6, b""), array([]), int64(5), text("x")]),
    st.lists(st.tuples(st.sampled_from(["by", "id", "at"]), values | _date_values), max_size=3).map(
        lambda parts: Raw(3, document(parts))
    ),
)
"""Of every type, and documents whose parts are of every type."""

_FIELDS: dict[str, tuple[int, st.SearchStrategy[Raw]]] = {
    "version": (90, _mostly(st.just(int64(7)), _versions, values)),
    "application": (80, _mostly(_texts, _texts, values)),
    "application_version": (80, _mostly(_texts, _texts, values)),
    "endpoint_token": (60, _mostly(_texts, _texts, values)),
    "metadata": (90, _metadata),
    "created_at": (50, _mostly(_date_values, _date_values, values)),
    "metadata_updated_at": (50, _mostly(_date_values, _date_values, values)),
    "app_version_registered_at": (50, _mostly(_date_values, _date_values, values)),
    "registration": (20, _mostly(_texts, _texts, values)),
    "deleted_at": (8, _date_values | st.just(NULL)),
    "outbox": (5, values),
    "outbox_claim": (20, _claims),
    "foreign": (30, values),
    "other": (10, values),
    "a.b": (5, values),
    "$x": (3, values),
}
"""Fields that a document may have: in how many of a hundred, and what."""


@st.composite
def stored_documents(draw: st.DrawFn) -> bytes:
    """As the register stores them, foreign, twisted, and with damaged bytes."""
    fields = [("_id", text("e"))]
    for name, (chance, value) in _FIELDS.items():
        if draw(st.integers(0, 99)) < chance:
            fields.append((name, draw(value)))
    how = draw(st.integers(0, 19))
    if how == 0:
        fields += draw(st.sampled_from([fields[1:2], fields[-1:], [("metadata", draw(_metadata))]]))
    elif how == 1:
        fields = draw(st.permutations(fields))
    good = document(fields)
    if how > 2:
        return good
    damaged = draw(mutations(st.just(good)))
    return damaged if draw(st.booleans()) else relength(damaged)


# --- commands
def _value(raw: Raw) -> PureValue:
    return PureValue.of_document(document([("", raw)]))


_brought = st.dictionaries(_keys, values, max_size=4).map(
    lambda pairs: [(key, _value(raw)) for key, raw in pairs.items()]
)


def _command(name: str, *arguments: Any) -> Make:
    def make(planner: Planner) -> Command:
        made: Command = getattr(planner, name)(*arguments)
        return made

    return make


_pointers = st.sampled_from(["", "/a", "/b", "/key", "/a/0", "/b/x", "/é", "/a/-", "/key/key"])
_plain = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, -0.0, 2**40, "x", "é"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["a", "x", "0"]), below),
    max_leaves=4,
)
_operations = st.one_of(
    st.builds(
        lambda op, path, value: {"op": op, "path": path, "value": value},
        st.sampled_from(["add", "add", "replace", "test"]),
        _pointers,
        _plain,
    ),
    _pointers.map(lambda path: {"op": "remove", "path": path}),
    st.builds(lambda op, path: {"op": op, "path": path, "from": "/a"}, st.just("copy"), _pointers),
    st.builds(
        lambda path: {"op": "move", "path": path, "from": "/b"}, _pointers.filter(lambda p: p[:3] != "/b/")
    ),
)
_patches = st.lists(_operations, max_size=3).map(
    lambda operations: PureValue.of_document(bson.encode({"": operations}))
)

commands: st.SearchStrategy[Make] = st.one_of(
    _patches.map(lambda patch: _command("patch_metadata", patch)),
    _brought.map(lambda metadata: _command("put_keys", metadata)),
    _brought.map(lambda metadata: _command("put_keys", metadata)),
    _brought.map(lambda metadata: _command("replace_metadata", metadata)),
    _keys.map(lambda key: _command("delete_key", key)),
    st.just(_command("unregister")),
    st.builds(lambda app, version: _command("set_app_version", app, version), _names, _names),
    st.builds(
        lambda app, version, token, metadata, task: _command("register", app, version, token, metadata, task),
        _names,
        _names,
        _names,
        _brought,
        st.none() | _names,
    ),
    st.builds(
        lambda app, version, token, metadata: _command("import_endpoint", app, version, token, metadata),
        _optional_names,
        _optional_names,
        _optional_names,
        _brought,
    ),
)
_tags = st.sampled_from(
    [None] * 20 + ["*", '"7"', "7", 'W/"7"', '"6", "8"', " 8 ", "", '"', '"-1"', "W/*", '"7" ,', "\u00a07"]
)
Asked = tuple[Make, str | None, str | None, str | None, Show, OnlyAt | None]
asked: st.SearchStrategy[Asked] = st.tuples(
    commands,
    _tags,
    _tags,
    st.none() | _keys,
    st.sampled_from(Show),
    st.sampled_from([None] * 9 + [OnlyAt(7), OnlyAt(None), OnlyAt(3)]),
)
"""A command with what comes along."""


def requests_of(planner: Planner, wanted: list[Asked]) -> list[Request]:
    """For one of the planners."""
    return [
        Request(make(planner), "c", if_match, if_none_match, key, show, only_at)
        for make, if_match, if_none_match, key, show, only_at in wanted
    ]


rules = st.sampled_from(
    [
        *[Rules()] * 3,
        Rules(max_keys=3, max_key_length=3, max_depth=1, max_metadata_bytes=120),
        Rules(
            key_pattern=re.compile("[a-z.é]*"),
            restricted={"app": ["a", "é"], "*": ["Z"], "": ["key"]},
            max_depth=2,
        ),
    ]
)


def comparable(planned: Planned) -> list[Any]:
    """All that a plan is made of; refusals by class and text."""
    outcomes = [
        (type(each), str(each), vars(each)) if isinstance(each, Refusal) else each
        for each in planned.outcomes
    ]
    return [
        planned.status,
        outcomes,
        planned.condition,
        planned.update,
        list(planned.events),
        planned.before,
        planned.document,
        planned.work,
    ]
