"""JSON Patch in both planners: a table of cases, bytes that stay, and bounds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import bson
import pytest
from bson.code import Code

from kaa_epr.refusals import FieldRefusal, Invalid, PatchConflict, Refusal, TooLarge
from kaa_epr.register.decide.api import Outcome, Planner
from kaa_epr.register.decide.pure.patch.work import MAX_WORK
from kaa_epr.register.decide.rules import Rules
from tests.support.patch_cases import CASES, PatchCase
from tests.support.planning import Done, known, patch, plan, planner

ROOMY = Rules(max_keys=2000, max_metadata_bytes=4 * 1024 * 1024, max_depth=90)


@pytest.mark.parametrize("case", CASES, ids=[case.about for case in CASES])
def test_cases(engine: Planner, case: PatchCase) -> None:
    try:
        done = plan(engine, known(**case.document), patch(engine, case.patch))
        done.outcome()
    except Refusal as refusal:
        found = (refusal.status, str(refusal))
    else:
        # Text tells 1 from 1.0 and the order of keys.
        found = (HTTPStatus.OK, str(done.metadata))
    assert found == (case.status, case.text if case.made is None else str(case.made))


def test_operations_are_counted(engine: Planner) -> None:
    operations = [{"op": "remove", "path": "/a"}] * 10_001
    patch(engine, operations[:-1])
    with pytest.raises(Invalid, match=r"^patch: more than 10000 operations$"):
        patch(engine, operations)


def test_values_that_are_not_touched_keep_their_bytes(engine: Planner) -> None:
    odd = {"code": Code("f", {"x": bson.Int64(1)}), "regex": bson.Regex("a", "ix"), "$id": 1, "$ref": "x"}
    stored = known(a={"in": odd, "x": 1}, b=[odd, 2], c=odd)
    operations = [
        {"op": "add", "path": "/a/y", "value": 2},
        {"op": "move", "from": "/b/0", "path": "/d"},
        {"op": "test", "path": "/c/$id", "value": 1},
        {"op": "copy", "from": "/a", "path": "/e"},
    ]
    done = plan(engine, stored, patch(engine, operations))
    done.outcome()
    expected = known(a={"in": odd, "x": 1, "y": 2}, b=[2], c=odd, d=odd, e={"in": odd, "x": 1, "y": 2})[
        "metadata"
    ]
    raw = bson.encode({"metadata": expected})[4:-1]
    document = done.planned.document
    assert document is not None
    assert raw in document


def test_objects_that_look_like_references_are_objects(engine: Planner) -> None:
    stored = known(a={"$ref": "things", "$id": 1, "more": [1]})
    operations = [
        {"op": "test", "path": "/a", "value": {"more": [1], "$id": 1.0, "$ref": "things"}},
        {"op": "add", "path": "/a/more/-", "value": 2},
    ]
    done = plan(engine, stored, patch(engine, operations))
    done.outcome()
    raw = bson.encode({"value": {"$ref": "things", "$id": 1, "more": [1, 2]}})[4:-1]
    document = done.planned.document
    assert document is not None
    assert raw in document


# --- bounds
def _copy(source: str, path: str) -> dict[str, Any]:
    return {"op": "copy", "from": source, "path": path}


def _move(source: str, path: str) -> dict[str, Any]:
    return {"op": "move", "from": source, "path": path}


def _add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


_LONG = list(range(30_000))
_WIDE = {f"k{number}": number for number in range(1000)}


@dataclass(frozen=True)
class Hostile:
    """A patch that grows, and what becomes of it; units are the same in both planners."""

    about: str
    document: dict[str, Any]
    operations: Callable[[], list[dict[str, Any]]]
    refused: type[Refusal] | None = None
    text: str = ""


_SPENT = rf"patch\[\d+\]: the patch takes more than {MAX_WORK} units of work"
_GROWN = r"patch\[\d+\]: makes the metadata take \d+ bytes, at most 4194304 are stored"
HOSTILE = [
    Hostile(
        "an object copied into itself doubles",
        {"a": {"b": "x" * 1000}},
        lambda: [_copy("/a", f"/a/x{number}") for number in range(18)],
        TooLarge,
        _GROWN,
    ),
    Hostile(
        "an empty object doubles",
        {"a": {}},
        lambda: [_copy("/a", f"/a/x{number}") for number in range(40)],
        TooLarge,
        _SPENT,
    ),
    Hostile(
        "the whole copied into itself doubles",
        {"a": 1},
        lambda: [_copy("", f"/x{number}") for number in range(40)],
        TooLarge,
        _SPENT,
    ),
    Hostile(
        "copies inside each other",
        {"a": {}},
        lambda: [_copy("/a", "/a/a") for _ in range(500)],
        Invalid,
        r"patch\[89\]: nested too deeply",
    ),
    Hostile(
        "moves that wrap a value",
        {"a": {}},
        lambda: [
            each for _ in range(500) for each in (_add("/b", {}), _move("/a", "/b/x"), _move("/b", "/a"))
        ],
        Invalid,
        r"patch\[268\]: nested too deeply",
    ),
    Hostile("a long array copied over another", {"a": _LONG}, lambda: [_copy("/a", "/b")] * 110),
    Hostile(
        "a long array copied over and over",
        {"a": _LONG},
        lambda: [_copy("/a", f"/b{number}") for number in range(110)],
        TooLarge,
        _GROWN,
    ),
    Hostile(
        "a long array that was changed copied over another",
        {"a": _LONG},
        lambda: [_add("/a/-", 1), *([_copy("/a", "/b")] * 110)],
        TooLarge,
        _SPENT,
    ),
    Hostile(
        "10,000 elements one after the other at the head",
        {"a": []},
        lambda: [_add("/a/0", 1)] * 10_000,
        TooLarge,
        _SPENT,
    ),
    Hostile("10,000 elements at the end", {"a": []}, lambda: [_add("/a/-", 1)] * 10_000),
    Hostile(
        "elements of a long array moved from one end to the other",
        {"a": _LONG},
        lambda: [_move("/a/0", "/a/29999")] * 10_000,
        TooLarge,
        _SPENT,
    ),
    Hostile("7,000 moves in a short array", {"a": list(range(9))}, lambda: [_move("/a/0", "/a/8")] * 7_000),
    Hostile(
        "an object moved over the root and back",
        {"a": _WIDE},
        lambda: [each for _ in range(900) for each in (_copy("/a", ""), _copy("", "/a"))],
        TooLarge,
        _SPENT,
    ),
    Hostile(
        "large values compared again and again",
        {"a": _LONG},
        lambda: [{"op": "test", "path": "/a", "value": _LONG}] * 3,
        TooLarge,
        _SPENT,
    ),
    Hostile(
        "a pointer of a million slashes",
        {"a": {}},
        lambda: [_add("/a" + "/" * 1_000_000, 1)],
        PatchConflict,
        r"patch\[0\]: no such location",
    ),
    Hostile(
        "more than is stored, for a while",
        {"a": "x" * 3_000_000},
        lambda: [_copy("/a", "/b"), {"op": "remove", "path": "/a"}],
        TooLarge,
        _GROWN,
    ),
]


def _done(engine: str, case: Hostile) -> Done:
    roomy = planner(engine, ROOMY)
    return plan(roomy, known(**case.document), patch(roomy, case.operations()))


@pytest.mark.parametrize("case", HOSTILE, ids=[case.about for case in HOSTILE])
def test_a_patch_ends_within_its_work(case: Hostile) -> None:
    pure, rust = (_done(name, case) for name in ("pure", "rust"))
    outcome = pure.outcomes[0]
    if case.refused is None:
        assert isinstance(outcome, Outcome)
        assert outcome == rust.outcomes[0]
    else:
        assert isinstance(outcome, case.refused)
        assert str(outcome) == str(rust.outcomes[0])
        assert re.fullmatch(case.text, str(outcome))
    assert (pure.planned.work, pure.planned.document) == (rust.planned.work, rust.planned.document)
    engine = planner("pure", ROOMY)
    nothing = plan(engine, known(**case.document), patch(engine, []))
    told = sum(len(event.payload) for event in pure.events)
    most = patch(engine, case.operations()).weight + MAX_WORK + told
    assert pure.planned.work - nothing.planned.work <= most


def test_metadata_that_are_too_large_already_may_shrink(engine: Planner) -> None:
    strict = planner(engine.name, Rules(max_metadata_bytes=200))
    stored = known(a="x" * 300, b="y" * 300)
    smaller = [{"op": "remove", "path": "/a"}, {"op": "replace", "path": "/b", "value": "z"}]
    assert plan(strict, stored, patch(strict, smaller)).metadata == {"b": "z"}
    larger = [{"op": "replace", "path": "/b", "value": "z" * 301}]
    with pytest.raises(TooLarge, match=r"^patch\[0\]: makes the metadata take \d+ bytes, at most 200 are"):
        plan(strict, stored, patch(strict, larger)).outcome()


@pytest.mark.parametrize(
    ("operations", "deep"),
    [
        ([_add("/a/b", [])], False),
        ([_add("/a/b", [[]])], True),
        ([{"op": "replace", "path": "", "value": {"x": [[]]}}], False),
        ([{"op": "replace", "path": "", "value": {"x": [[[]]]}}], True),
        ([_copy("", "/a/b")], True),
        ([_copy("", "/c")], False),
        ([_add("/c", {}), _move("/a", "/c/x"), _move("/c", "/a")], False),
        ([_add("/c", {"d": {}}), _move("/a", "/c/d/x")], True),
    ],
)
def test_depth_is_judged_where_it_arises(engine: Planner, operations: Any, deep: bool) -> None:
    strict = planner(engine.name, Rules(max_depth=2))
    done = plan(strict, known(a={}), patch(strict, operations))
    if deep:
        assert isinstance(done.outcomes[0], Invalid)
        assert str(done.outcomes[0]) == f"patch[{len(operations) - 1}]: nested too deeply"
    else:
        assert isinstance(done.outcomes[0], Outcome)


@pytest.mark.parametrize(
    ("value", "refused", "text"),
    [
        ([[[]]], Invalid, "nested too deeply"),
        ("x" * 300, TooLarge, "takes 305 bytes, at most 200 are stored"),
        ({"$ref": 1, "$id": 2, "items": 3}, Invalid, "a reference with items or __iter__ has no JSON form"),
    ],
)
def test_values_are_judged_by_themselves(
    engine: Planner, value: Any, refused: type[FieldRefusal], text: str
) -> None:
    strict = planner(engine.name, Rules(max_depth=2, max_metadata_bytes=200))
    command = patch(strict, [{"op": "remove", "path": "/a"}, _add("/b", value)])
    with pytest.raises(refused) as caught:
        strict.check(command)
    assert str(caught.value) == f"patch[1].value: {text}"
