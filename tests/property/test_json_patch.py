"""JSON Patch of both planners against a naive model that rebuilds the document, and against each other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from kaa_epr.refusals import Invalid, PatchConflict, Refusal
from kaa_epr.register.decide.api import Outcome, Planner
from kaa_epr.register.decide.rules import Rules
from tests.property.planned import comparable
from tests.support.planning import known, patch, plan, planner

KEYS = st.sampled_from(["a", "b", "", "~", "/", "a/b", "0", "1", "-", "m~n", "é"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, -1.5, "", "x"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=10,
)
DOCUMENTS = st.dictionaries(KEYS.filter(bool), VALUES, max_size=4)


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


PLANNERS = [planner(name, Rules()) for name in ("pure", "rust")]
REFUSED = "refused"


def expected(document: Any, patch: list[dict[str, Any]]) -> Any:
    """What the model makes of it; None: the document does not fit; ``REFUSED``: no metadata."""
    try:
        made = model(document, patch)
    except Misfit:
        return None
    return made if isinstance(made, dict) and "" not in made else REFUSED


def outcome(engine: Planner, document: dict[str, Any], operations: list[dict[str, Any]]) -> Any:
    """The same of a planner."""
    done = plan(engine, known(**document), patch(engine, operations))
    if isinstance(done.outcomes[0], Outcome):
        return done.metadata
    assert isinstance(done.outcomes[0], PatchConflict | Invalid)
    return None if isinstance(done.outcomes[0], PatchConflict) else REFUSED


@settings(max_examples=500)
@given(st.builds(case, DOCUMENTS, st.lists(OPERATIONS, max_size=5)))
def test_agrees_with_the_model(made: tuple[Any, list[dict[str, Any]]]) -> None:
    document, operations = made
    for engine in PLANNERS:
        if any(map(moves_into_itself, operations)):
            with pytest.raises(Invalid):
                patch(engine, operations)
            continue
        wanted, found = expected(document, operations), outcome(engine, document, operations)
        event("conflict" if wanted is None else "refused" if wanted == REFUSED else "made")
        assert canonical(found) == canonical(wanted)


@given(VALUES, VALUES)
def test_equality_is_that_of_the_rfc(left: Any, right: Any) -> None:
    for engine in PLANNERS:
        found = outcome(engine, {"a": left}, [{"op": "test", "path": "/a", "value": right}])
        assert (found is not None) == (canonical(left) == canonical(right))


LIMITS = st.builds(
    Rules,
    max_keys=st.sampled_from([3, 1024]),
    max_depth=st.sampled_from([1, 2, 32]),
    max_metadata_bytes=st.sampled_from([100, 200, 1024 * 1024]),
)


@settings(max_examples=300)
@given(st.builds(case, DOCUMENTS, st.lists(OPERATIONS, max_size=9)), LIMITS)
def test_both_planners_give_the_same_bytes_texts_and_units(
    made: tuple[Any, list[dict[str, Any]]], limits: Rules
) -> None:
    document, operations = made
    found: list[list[Any]] = []
    for name in ("pure", "rust"):
        engine = planner(name, limits)
        try:
            command = patch(engine, operations)
        except Refusal as refusal:
            found.append([str(refusal)])
            continue
        done = plan(engine, known(**document), command, command)
        event(type(done.outcomes[0]).__name__)
        found.append([*comparable(done.planned), command.weight])
    assert found[0] == found[1]
