"""Nobody is judged by their company: a command has the same verdict and plan alone and among others.

Others are other endpoints in the same call: usual ones, documents that cannot be read, commands with bugs.
"""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from kaa_epr.refusals import FieldRefusal, InternalError
from kaa_epr.register.decide.api import PlanLimits, Planner, Request, Work
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.intake.api import Intake, JsonLimits
from tests.property.documents import document, int64, text
from tests.property.intakes import each_intake, intake, texts
from tests.property.planned import Asked, asked, comparable, requests_of, rules, stored_documents
from tests.property.support import needs_rust
from tests.property.test_intake_json import LIMITS as JSON_LIMITS
from tests.property.test_intake_json import described
from tests.support.planning import AUTHOR, CLAIM, brought, planner

LIMITS = PlanLimits(max_event_bytes=2000, max_outbox=3)
BUG = "met a bug"
"""A key at which the rules themselves fail."""

each_planner = pytest.mark.parametrize(
    "name", [pytest.param("pure", id="pure"), pytest.param("rust", id="rust", marks=needs_rust)]
)
Given = tuple[bytes | None, list[Asked]]
usual: st.SearchStrategy[Given] = st.tuples(
    st.integers(0, 9).flatmap(lambda how: st.none() if how == 0 else stored_documents()),
    st.lists(asked, min_size=1, max_size=3),
)
unreadable: st.SearchStrategy[Given] = st.tuples(
    st.binary(max_size=40)
    | st.sampled_from([document([("_id", int64(1))]), document([("metadata", text("x"))])]),
    st.lists(asked, min_size=1, max_size=2),
)


class Trap:
    """A pattern of keys that fails at one of them, as a bug would."""

    pattern = ".*"

    def fullmatch(self, key: str) -> bool:
        if key == BUG:
            raise ZeroDivisionError
        return True


def works(planner: Planner, given: list[Given]) -> list[Work]:
    """One endpoint each."""
    return [Work(f"e-{n}", stored, requests_of(planner, wanted)) for n, (stored, wanted) in enumerate(given)]


@each_planner
@given(
    given_work=st.lists(usual | unreadable, min_size=2, max_size=6),
    limits=rules,
    silent=st.booleans(),
    data=st.data(),
)
def test_a_plan_is_the_same_alone_and_among_others(
    name: str, given_work: list[Given], limits: Rules, silent: bool, data: st.DataObject
) -> None:
    claim = None if silent else CLAIM
    among = planner(name, limits)
    together = [comparable(each) for each in among.plan(works(among, given_work), AUTHOR, claim, LIMITS)]
    assert len(together) == len(given_work)
    for number in data.draw(st.permutations(range(len(given_work)))):
        # Anew each time: what one has planned before must not matter either.
        alone = planner(name, limits)
        [planned] = alone.plan(works(alone, given_work)[number : number + 1], AUTHOR, claim, LIMITS)
        event(planned.status.name)
        assert comparable(planned) == together[number]


@given(given_work=st.lists(usual, min_size=1, max_size=4), at=st.integers(0, 4))
def test_a_bug_is_met_by_one_command_only(given_work: list[Given], at: int) -> None:
    """In the pure planner: the core calls nothing of ours that could fail."""
    pure = planner("pure", Rules(key_pattern=cast(re.Pattern[str], Trap())))
    work = works(pure, given_work)
    expected = [comparable(each) for each in pure.plan(work, AUTHOR, CLAIM, LIMITS)]
    bug = Work("bug", document([("_id", text("bug"))]), [Request(pure.put_keys([(BUG, brought(1))]), "c")])
    at = min(at, len(work))
    with capture_logs() as lines:
        found = pure.plan([*work[:at], bug, *work[at:]], AUTHOR, CLAIM, LIMITS)
    assert len(lines) == 1
    [outcome] = found.pop(at).outcomes
    assert isinstance(outcome, InternalError)
    assert [comparable(each) for each in found] == expected


@each_intake
@given(texts_=st.lists(texts(), min_size=2, max_size=6), limits=JSON_LIMITS, envelope=st.integers(0, 2))
def test_a_text_is_judged_the_same_whatever_was_read_before(
    name: str, texts_: list[bytes], limits: JsonLimits, envelope: int
) -> None:
    def judged(reader: Intake, text: bytes) -> Any:
        try:
            return described(reader.parse_json(text, "body", limits, envelope=envelope))
        except FieldRefusal as refusal:
            return type(refusal).__name__, refusal.field, refusal.reason

    shared = intake(name)
    forwards = [judged(shared, text) for text in texts_]
    backwards = [judged(shared, text) for text in reversed(texts_)]
    assert forwards == backwards[::-1] == [judged(intake(name), text) for text in texts_]
