"""The metadata diff against a naive model: applied to the old metadata it gives the new."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kaa_epr.register.decide.apply import MetadataUpdated, apply
from kaa_epr.register.decide.diff import diff, merged
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.state import EndpointState
from kaa_epr.register.intake.commands import ReplaceMetadata

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 0.0, 1.0, -0.0, "", "1", "null", 2**40]),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.sampled_from("ab"), below, max_size=2),
    max_leaves=5,
)
METADATA = st.dictionaries(st.sampled_from("abcdef"), VALUES, max_size=6)


def text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def told(value: Any) -> str | None:
    return None if value is None else text(value)


@given(METADATA, METADATA)
def test_against_the_model(old: dict[str, Any], new: dict[str, Any]) -> None:
    difference = diff(old, new)
    assert difference.added == {k: told(new[k]) for k in new.keys() - old.keys()}
    assert difference.removed == {k: told(old[k]) for k in old.keys() - new.keys()}
    assert difference.updated == {
        k: (told(new[k]), told(old[k])) for k in old.keys() & new.keys() if text(old[k]) != text(new[k])
    }
    assert bool(difference) == ({k: text(v) for k, v in old.items()} != {k: text(v) for k, v in new.items()})


@given(METADATA, METADATA)
def test_a_listener_that_follows_events_knows_the_metadata(old: dict[str, Any], new: dict[str, Any]) -> None:
    state = EndpointState("e", version=3, metadata=old, stored_version=3)
    change = apply(state, ReplaceMetadata(new), Rules(), datetime(2026, 1, 1, tzinfo=UTC))
    mirror = {key: told(value) for key, value in old.items()}
    if change.event is None:
        assert change.state is state
    else:
        assert isinstance(change.event, MetadataUpdated)
        assert change.state.version == 4
        for key, value in change.event.diff.removed.items():
            assert mirror.pop(key) == value
        for key, value in change.event.diff.added.items():
            assert key not in mirror
            mirror[key] = value
        for key, (value, before) in change.event.diff.updated.items():
            assert mirror[key] == before
            mirror[key] = value
    assert mirror == {key: told(value) for key, value in new.items()}
    assert {key: text(value) for key, value in change.state.metadata.items()} == {
        key: text(value) for key, value in new.items()
    }


@given(METADATA, METADATA)
def test_kept_keys_keep_their_places(old: dict[str, Any], new: dict[str, Any]) -> None:
    keys = list(merged(old, new, diff(old, new)))
    assert keys == [key for key in old if key in new] + [key for key in new if key not in old]
