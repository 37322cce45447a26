"""JSON Patch against the examples of RFC 6902, and against a naive model that rebuilds the document."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa_epr.refusals import Invalid, PatchConflict, TooLarge
from kaa_epr.register.decide.json_patch import apply_patch, equal, parse

KEYS = st.sampled_from(["a", "b", "", "~", "/", "a/b", "0", "1", "-", "m~n", "é"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, -1.5, "", "x"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=10,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


class Misfit(Exception):
    """The model refuses."""


def escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def locations(value: Any, prefix: str = "") -> list[str]:
    """Every pointer into ``value``."""
    found = [prefix]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        found += locations(below, f"{prefix}/{escape(str(key))}")
    return found


# Of pointers only what does not depend on the document is drawn: strategies made for each example are slow.
POINTERS = st.tuples(st.integers(0, 1000), st.none() | KEYS)
"""Which of the known locations, and what is looked for below it."""
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["add", "replace", "test"]), POINTERS, VALUES),
    st.tuples(st.just("remove"), POINTERS),
    st.tuples(st.sampled_from(["move", "copy"]), POINTERS, POINTERS),
)


def case(document: Any, drawn: list[Any]) -> tuple[Any, list[dict[str, Any]]]:
    """A document and a patch whose pointers mostly hit it, or its neighbourhood."""
    known = locations(document)

    def pointer(which: int, below: str | None) -> str:
        base = known[which % len(known)]
        return base if below is None else f"{base}/{escape(below)}"

    patch = []
    for op, path, *more in drawn:
        item = {"op": op, "path": pointer(*path)}
        if op in {"move", "copy"}:
            item["from"] = pointer(*more[0])
        elif more:
            item["value"] = more[0]
        patch.append(item)
    return document, patch


# --- the model: pure functions that build a new document, recursion along the pointer -----------------------
def split(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def at(document: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and part in map(str, range(len(document))):
            document = document[int(part)]
        else:
            raise Misfit
    return document


def added(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    part, *rest = path
    if isinstance(document, dict):
        if rest and part not in document:
            raise Misfit
        return {**document, part: added(document.get(part), rest, value)}
    if isinstance(document, list):
        if rest:
            at(document, [part])
            return [added(v, rest, value) if str(i) == part else v for i, v in enumerate(document)]
        if part == "-":
            return [*document, value]
        if part not in map(str, range(len(document) + 1)):
            raise Misfit
        return [*document[: int(part)], value, *document[int(part) :]]
    raise Misfit


def removed(document: Any, path: list[str]) -> Any:
    at(document, path)
    if not path:
        return None
    part, *rest = path
    if isinstance(document, dict):
        if rest:
            return {k: removed(v, rest) if k == part else v for k, v in document.items()}
        return {k: v for k, v in document.items() if k != part}
    if rest:
        return [removed(v, rest) if str(i) == part else v for i, v in enumerate(document)]
    return [v for i, v in enumerate(document) if str(i) != part]


def replaced(document: Any, path: list[str], value: Any) -> Any:
    at(document, path)
    if not path:
        return value
    part, *rest = path
    if isinstance(document, dict):
        return {k: replaced(v, rest, value) if k == part else v for k, v in document.items()}
    return [replaced(v, rest, value) if str(i) == part else v for i, v in enumerate(document)]


def canonical(value: Any) -> Any:
    """Equal exactly when RFC 6902 section 4.6 says so."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    if isinstance(value, int | float):
        return ("number", value)
    if isinstance(value, list):
        return ("array", [canonical(below) for below in value])
    return ("object", sorted((key, canonical(below)) for key, below in value.items()))


def model(document: Any, patch: list[dict[str, Any]]) -> Any:
    for item in patch:
        path = split(item["path"])
        match item["op"]:
            case "add":
                document = added(document, path, item["value"])
            case "remove":
                document = removed(document, path)
            case "replace":
                document = replaced(document, path, item["value"])
            case "test":
                if canonical(at(document, path)) != canonical(item["value"]):
                    raise Misfit
            case "copy":
                document = added(document, path, at(document, split(item["from"])))
            case _:
                source = split(item["from"])
                value = at(document, source)
                if source != path:
                    document = added(removed(document, source), path, value)
    return document


def moves_into_itself(item: dict[str, Any]) -> bool:
    return item["op"] == "move" and str(item["path"]).startswith(f"{item['from']}/")


@settings(max_examples=500)
@given(st.builds(case, DOCUMENTS, st.lists(OPERATIONS, max_size=5)))
def test_agrees_with_the_model(made: tuple[Any, list[dict[str, Any]]]) -> None:
    document, patch = made
    before = copy.deepcopy(document)
    if any(map(moves_into_itself, patch)):
        with pytest.raises(Invalid):
            parse(patch)
        return
    operations = parse(patch)
    try:
        expected = model(document, patch)
    except Misfit:
        with pytest.raises(PatchConflict):
            apply_patch(document, operations)
    else:
        assert canonical(apply_patch(document, operations)) == canonical(expected)
    assert canonical(document) == canonical(before)


@given(VALUES, VALUES)
def test_equality_is_that_of_the_rfc(left: Any, right: Any) -> None:
    assert equal(left, right) == (canonical(left) == canonical(right))


RFC_EXAMPLES = [
    ("A.1", {"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    (
        "A.2",
        {"foo": ["bar", "baz"]},
        [{"op": "add", "path": "/foo/1", "value": "qux"}],
        {"foo": ["bar", "qux", "baz"]},
    ),
    ("A.3", {"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ("A.4", {"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    (
        "A.6",
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        "A.7",
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    (
        "A.11",
        {"foo": "bar"},
        [{"op": "add", "path": "/baz", "value": 1, "xyz": 123}],
        {"foo": "bar", "baz": 1},
    ),
    ("A.14", {"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    (
        "A.16",
        {"foo": ["bar"]},
        [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}],
        {"foo": ["bar", ["abc", "def"]]},
    ),
]


@pytest.mark.parametrize(("document", "patch", "expected"), [case[1:] for case in RFC_EXAMPLES])
def test_examples_of_the_rfc(document: Any, patch: Any, expected: Any) -> None:
    assert apply_patch(document, parse(patch)) == expected


@pytest.mark.parametrize(
    ("document", "patch"),
    [
        ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "bar"}]),  # A.9
        ({"foo": "bar"}, [{"op": "add", "path": "/baz/bat", "value": "qux"}]),  # A.12
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": "10"}]),  # A.15
        ({"a": [1]}, [{"op": "add", "path": "/a/01", "value": 1}]),
        ({"a": [1]}, [{"op": "add", "path": "/a/2", "value": 1}]),
        ({"a": [1]}, [{"op": "replace", "path": "/a/-", "value": 1}]),
        ({"a": 1}, [{"op": "replace", "path": "/b", "value": 1}]),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": True}]),
        ({"a": [1]}, [{"op": "remove", "path": f"/a/{'9' * 5000}"}]),
    ],
)
def test_what_does_not_fit_is_a_conflict(document: Any, patch: Any) -> None:
    with pytest.raises(PatchConflict, match=r"patch\[0\]"):
        apply_patch(document, parse(patch))


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({}, "patch"),
        ([1], "patch[0]"),
        ([{"path": "/a"}], "patch[0].op"),
        ([{"op": "spam", "path": "/a"}], "patch[0].op"),
        ([{"op": ["add"], "path": "/a"}], "patch[0].op"),
        ([{"op": "remove"}], "patch[0].path"),
        ([{"op": "remove", "path": "a"}], "patch[0].path"),
        ([{"op": "remove", "path": "/a~2"}], "patch[0].path"),
        ([{"op": "add", "path": "/a"}], "patch[0].value"),
        ([{"op": "copy", "path": "/a"}], "patch[0].from"),
        ([{"op": "move", "from": "/a", "path": "/a/b"}], "patch[0].from"),
        ([{"op": "remove", "path": "/a"}] * 10_001, "patch"),
    ],
)
def test_what_no_document_could_make_valid(patch: Any, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(patch)
    assert caught.value.field == field


def test_copies_that_double_are_bounded() -> None:
    patch = [{"op": "copy", "from": "", "path": f"/k{n}"} for n in range(64)]
    with pytest.raises(TooLarge):
        apply_patch({"a": "x" * 100}, parse(patch))
