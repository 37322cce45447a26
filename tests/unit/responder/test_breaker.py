"""Every state of the breaker with everything that can happen in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kaa_epr.responder.breaker import Breaker, BreakerState

CLOSED, OPEN, PROBING = BreakerState
INTERVAL = 1000


def breaker_in(state: BreakerState) -> Breaker:
    breaker = Breaker(trip_after=3, probe_interval_ms=INTERVAL)
    if state is not CLOSED:
        breaker.load_failed(0, enough=True)
    if state is PROBING:
        breaker.probe_due(0)
    assert breaker.state is state
    return breaker


def fail_thrice(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.load_failed(0, enough=False)


EVENTS: dict[str, Callable[[Breaker], object]] = {
    "load succeeded": lambda breaker: breaker.load_succeeded(),
    "load failed": lambda breaker: breaker.load_failed(0, enough=False),
    "load failed thrice": fail_thrice,
    "load timed out": lambda breaker: breaker.load_failed(0, enough=True),
    "probe due": lambda breaker: breaker.probe_due(0),
    "probe succeeded": lambda breaker: breaker.probe_succeeded(),
    "probe failed": lambda breaker: breaker.probe_failed(0, 0.5),
}
TABLE = {
    (CLOSED, "load succeeded"): CLOSED,
    (CLOSED, "load failed"): CLOSED,
    (CLOSED, "load failed thrice"): OPEN,
    (CLOSED, "load timed out"): OPEN,
    (CLOSED, "probe due"): CLOSED,
    (CLOSED, "probe succeeded"): AssertionError,
    (CLOSED, "probe failed"): AssertionError,
    (OPEN, "load succeeded"): OPEN,
    (OPEN, "load failed"): OPEN,
    (OPEN, "load failed thrice"): OPEN,
    (OPEN, "load timed out"): OPEN,
    (OPEN, "probe due"): PROBING,
    (OPEN, "probe succeeded"): AssertionError,
    (OPEN, "probe failed"): AssertionError,
    (PROBING, "load succeeded"): PROBING,
    (PROBING, "load failed"): PROBING,
    (PROBING, "load failed thrice"): PROBING,
    (PROBING, "load timed out"): PROBING,
    (PROBING, "probe due"): PROBING,
    (PROBING, "probe succeeded"): CLOSED,
    (PROBING, "probe failed"): OPEN,
}


@pytest.mark.parametrize("state", BreakerState)
@pytest.mark.parametrize("event", EVENTS)
def test_transitions(state: BreakerState, event: str) -> None:
    breaker, after = breaker_in(state), TABLE[state, event]
    if after is AssertionError:
        with pytest.raises(AssertionError):
            EVENTS[event](breaker)
        after = state
    else:
        EVENTS[event](breaker)
    assert breaker.state is after
    assert breaker.closed is (after is CLOSED)


def test_only_failures_in_a_row_trip() -> None:
    breaker = breaker_in(CLOSED)
    for _ in range(10):
        assert not breaker.load_failed(0, enough=False)
        assert not breaker.load_failed(0, enough=False)
        breaker.load_succeeded()
    assert breaker.closed


def test_a_trip_is_told_once() -> None:
    breaker = breaker_in(CLOSED)
    told = [breaker.load_failed(0, enough=False) for _ in range(6)]
    assert told == [False, False, True, False, False, False]
    assert breaker.trips == 1


def test_failures_from_before_do_not_count_after_recovery() -> None:
    breaker = breaker_in(PROBING)
    breaker.probe_succeeded()
    assert [breaker.load_failed(0, enough=False) for _ in range(3)] == [False, False, True]
    assert breaker.trips == 2


def test_the_first_probe_is_due_at_once_and_is_sent_once() -> None:
    breaker = breaker_in(CLOSED)
    breaker.load_failed(500, enough=True)
    assert not breaker.probe_due(499)
    assert breaker.probe_due(500)
    assert not breaker.probe_due(10_000)
    assert breaker.probes == 1


@pytest.mark.parametrize(("chance", "wait"), [(0.0, 500), (0.5, 1000), (1.0, 1500)])
def test_later_probes_are_spread_around_the_interval(chance: float, wait: int) -> None:
    breaker = breaker_in(PROBING)
    breaker.probe_failed(2000, chance)
    assert not breaker.probe_due(2000 + wait - 1)
    assert breaker.probe_due(2000 + wait)
