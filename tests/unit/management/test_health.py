"""When a worker is ready."""

from __future__ import annotations

from functools import partial

import pytest

from kaa_epr.management.health import Health, Phase


def _says(reason: str | None) -> str | None:
    return reason


def _health(**reasons: str | None) -> Health:
    health = Health()
    health.phase = Phase.SERVING
    for name, reason in reasons.items():
        health.add(name, partial(_says, reason), required=name != "store")
    return health


@pytest.mark.parametrize(
    ("reasons", "status", "ready"),
    [
        ({}, "UP", True),
        ({"link": None, "ears": None, "store": None}, "UP", True),
        ({"link": None, "ears": None, "store": "no answer since 3 s"}, "DEGRADED", True),
        ({"link": "reconnecting", "ears": None, "store": None}, "DOWN", False),
        ({"link": None, "ears": "subscription refused", "store": "down"}, "DOWN", False),
    ],
)
def test_the_link_and_the_ears_are_required_and_the_store_is_not(
    reasons: dict[str, str | None], status: str, ready: bool
) -> None:
    report = _health(**reasons).report()
    assert (report.status, report.ready) == (status, ready)
    assert report.reasons == reasons


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.DRAINING])
def test_only_a_serving_worker_is_ready(phase: Phase) -> None:
    health = _health(link=None)
    health.phase = phase
    report = health.report()
    assert not report.ready
    assert report.as_json() == {
        "status": "DOWN",
        "phase": phase.value,
        "components": {"link": {"status": "UP"}},
    }


def test_a_new_worker_is_starting() -> None:
    assert Health().report().phase is Phase.STARTING


def test_checks_are_asked_every_time() -> None:
    state: list[str | None] = [None, "lost", None]
    health = Health()
    health.phase = Phase.SERVING
    health.add("link", lambda: state.pop(0), required=True)
    assert [health.report().ready for _ in range(3)] == [True, False, True]


def test_a_component_cannot_be_added_twice() -> None:
    health = _health(link=None)
    with pytest.raises(ValueError, match="link is there already"):
        health.add("link", lambda: None, required=True)
