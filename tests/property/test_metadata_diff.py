"""What events tell of changed metadata, against a naive model: applied to the old they give the new."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.planning import PLANNERS, Done, items, known, plan, planner, told

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 0.0, 1.0, -0.0, "", "1", "null", 2**40]),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.sampled_from("ab"), below, max_size=2),
    max_leaves=5,
)
METADATA = st.dictionaries(st.sampled_from("abcdef"), VALUES, max_size=6)
each_planner = pytest.mark.parametrize("name", PLANNERS)


def text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def nullable(value: Any) -> str | None:
    return None if value is None else text(value)


def replaced(name: str, old: dict[str, Any], new: dict[str, Any]) -> Done:
    """``new`` in the place of ``old``."""
    engine = planner(name)
    return plan(engine, known(**old), engine.replace_metadata(items(new)))


@each_planner
@given(METADATA, METADATA)
def test_against_the_model(name: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    done = replaced(name, old, new)
    changed = {k: text(v) for k, v in old.items()} != {k: text(v) for k, v in new.items()}
    assert done.outcome().changed == bool(done.events) == changed
    if not changed:
        return
    event = told(done.events[0])
    assert event["added"] == {k: nullable(new[k]) for k in new.keys() - old.keys()}
    assert event["removed"] == {k: nullable(old[k]) for k in old.keys() - new.keys()}
    assert event["updated"] == {
        k: {"newValue": nullable(new[k]), "oldValue": nullable(old[k])}
        for k in old.keys() & new.keys()
        if text(old[k]) != text(new[k])
    }


@each_planner
@given(METADATA, METADATA)
def test_a_listener_that_follows_events_knows_the_metadata(
    name: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    done = replaced(name, old, new)
    mirror = {key: nullable(value) for key, value in old.items()}
    for event in map(told, done.events):
        for key, value in event["removed"].items():
            assert mirror.pop(key) == value
        for key, value in event["added"].items():
            assert key not in mirror
            mirror[key] = value
        for key, values in event["updated"].items():
            assert mirror[key] == values["oldValue"]
            mirror[key] = values["newValue"]
    assert mirror == {key: nullable(value) for key, value in new.items()}
    assert {key: text(value) for key, value in done.metadata.items()} == {
        key: text(value) for key, value in new.items()
    }


@each_planner
@given(METADATA, METADATA)
def test_kept_keys_keep_their_places(name: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    keys = list(replaced(name, old, new).metadata)
    assert keys == [key for key in old if key in new] + [key for key in new if key not in old]
