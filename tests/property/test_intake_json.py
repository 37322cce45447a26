"""JSON texts in the core and in its pure twin: the same values and faults, and those of Python's reader."""

from __future__ import annotations

import json
from typing import Any

import bson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kaa_epr.register.intake.api import JsonLimits, Value
from tests.property.intakes import VALUES, each_intake, intake, texts, verdict
from tests.property.support import needs_rust

LIMITS = st.builds(JsonLimits, max_depth=st.sampled_from([0, 1, 3, 97, 200]), max_values=st.integers(0, 40))


@needs_rust
@given(texts(), LIMITS, st.sampled_from([None, "", "metadata.k"]), st.integers(0, 2))
@example(b'{"' + b"x" * 500 + b'":[[]]}', JsonLimits(1, 10), None, 0)
def test_both_give_the_same_value_or_the_same_fault(
    text: bytes, limits: JsonLimits, prefix: str | None, envelope: int
) -> None:
    pure = verdict("pure", text, limits, prefix=prefix, envelope=envelope)
    rust = verdict("rust", text, limits, prefix=prefix, envelope=envelope)
    if isinstance(pure, tuple) or isinstance(rust, tuple):
        assert rust == pure
        return
    assert described(rust) == described(pure)


def described(value: Value) -> Any:
    """All that a value tells of itself."""
    below: Any = None
    if value.kind == "object":
        below = [(name, member.bson) for name, member in value.items()]
        assert all(same(value.get(name), member) for name, member in value.items())
    elif value.kind == "array":
        below = [element.bson for element in value.elements()]
    return value.kind, value.bson, value.size, repr(value.python()), text_of(value), below


def same(left: Value | None, right: Value) -> bool:
    return left is not None and left.bson == right.bson


def text_of(value: Value) -> str | None:
    """None for an envelope that looks like a reference without a JSON form."""
    try:
        return value.text()
    except ValueError:
        return None


@each_intake
@given(st.data())
def test_what_pythons_reader_takes_is_what_it_takes_and_the_other_way_round(
    name: str, data: st.DataObject
) -> None:
    text = data.draw(texts())
    ours = verdict(name, text, JsonLimits(97, 10_000))
    theirs = strict_reading(text)
    assert isinstance(ours, tuple) == (theirs is NOTHING)
    if not isinstance(ours, tuple):
        assert ours.bson == bson.encode({"": theirs})
        assert repr(ours.python()) == repr(theirs)


NOTHING = object()


def strict_reading(text: bytes) -> Any:
    """What Python's reader makes of it with everything forbidden that the intake forbids, or NOTHING."""

    def refuse(_constant: str) -> Any:
        raise ValueError

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs) or any("\0" in key for key in members):
            raise ValueError
        if {"$ref", "$id"} <= members.keys() and {"items", "__iter__"} & members.keys():
            raise ValueError
        return members

    def integer(digits: str) -> int:
        if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
            raise ValueError
        return int(digits)

    def double(digits: str) -> float:
        value = float(digits)
        if abs(value) == float("inf"):
            raise ValueError
        return value

    try:
        # Half surrogates are read, and cannot be written.
        value = json.loads(
            text.decode(),
            parse_constant=refuse,
            parse_int=integer,
            parse_float=double,
            object_pairs_hook=unique,
        )
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return NOTHING
    return value


@each_intake
@given(VALUES)
def test_values_print_as_gets_print_them_and_read_back_the_same(name: str, value: Any) -> None:
    text = json.dumps(value).encode()
    read = verdict(name, text, JsonLimits(97, 10_000))
    if isinstance(read, tuple):
        return
    printed = read.text()
    again = intake(name).parse_json(printed.encode(), "text", JsonLimits(97, 10_000))
    # A reference prints its fields in an order of its own.
    assert again.python() == read.python()
    assert again.text() == printed


@each_intake
def test_other_kinds_are_asked_in_vain(name: str) -> None:
    value = intake(name).parse_json(b"1", "v", JsonLimits())
    for ask in (value.items, value.elements, lambda: value.get("a")):
        with pytest.raises(ValueError, match="the value is not an"):
            ask()
