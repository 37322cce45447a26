"""Both planners make the same of everything: statements, events, documents, outcomes, refusals."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from kaa_epr.refusals import Refusal, Unusable
from kaa_epr.register.decide.api import PlanLimits, Status, Work
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.view import View
from tests.property.planned import (
    KEYS,
    Asked,
    Make,
    asked,
    commands,
    comparable,
    requests_of,
    rules,
    stored_documents,
)
from tests.support.planning import AUTHOR, CLAIM, planner

LIMITS = PlanLimits(max_event_bytes=2000, max_outbox=3)


@given(
    stored=st.integers(0, 9).flatmap(lambda how: st.none() if how == 0 else stored_documents()),
    wanted=st.lists(asked, min_size=1, max_size=5),
    limits=rules,
    silent=st.booleans(),
)
def test_plans_are_the_same(stored: bytes | None, wanted: list[Asked], limits: Rules, silent: bool) -> None:
    made = []
    for name in ("pure", "rust"):
        engine = planner(name, limits)
        work = [Work("e", stored, requests_of(engine, wanted))]
        made += engine.plan(work, AUTHOR, None if silent else CLAIM, LIMITS)
    pure, rust = made
    event(f"{pure.status.name}, {len(pure.events)} events")
    if pure.status is Status.PLANNED:
        for each in pure.outcomes:
            event(type(each).__name__)
    assert comparable(pure) == comparable(rust)


@given(make=commands, limits=rules)
def test_commands_are_judged_the_same(make: Make, limits: Rules) -> None:
    found = []
    for name in ("pure", "rust"):
        engine = planner(name, limits)
        command = make(engine)
        verdict = "fine"
        try:
            engine.check(command)
        except Refusal as refusal:
            verdict = f"{type(refusal)} {refusal}"
        found.append((verdict, command.kind, command.weight))
    assert found[0] == found[1]


def shown(view: View, keys: list[str]) -> list[Any]:
    """All that a view shows."""
    return [
        (view.endpoint_id, view.known, view.version, view.etag, view.registration, view.readable),
        (view.application, view.app_version, view.keys(), view.problem is None),
        (view.keys_text(), view.metadata_text(), view.metadata_text(keys)),
        [view.key_text(key) for key in KEYS],
        (view.app_version_text(), view.endpoint_text(with_metadata=True)),
        view.endpoint_text(with_metadata=False),
    ]


@given(stored=stored_documents(), keys=st.lists(st.sampled_from(KEYS), max_size=3))
def test_documents_are_shown_the_same(stored: bytes, keys: list[str]) -> None:
    found: list[Any] = []
    for name in ("pure", "rust"):
        try:
            found.append(shown(planner(name).view(stored), keys))
        except Unusable:
            found.append("unusable")
    event("unusable" if found[0] == "unusable" else "shown")
    assert found[0] == found[1]
