"""What the responder must reach, as data: medians over the rounds, of figures and of their ratios."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.results import Quantity, Results, Spread
from bench.scenarios import OURS, OURS_BASELINE, OURS_PYMONGO

Measure = Callable[[Results], Spread | None]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure and its bound."""

    text: str
    measure: Measure
    least: float | None = None
    most: float | None = None
    unit: str = "times"

    @property
    def judged(self) -> bool:
        """Whether there is a bound at all."""
        return self.least is not None or self.most is not None

    def reached(self, value: float) -> bool:
        """Whether the bound holds."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def bound(self) -> str:
        """For people; empty for a figure that is told and not judged."""
        if not self.judged:
            return ""
        sign, value = ("≥", self.least) if self.least is not None else ("≤", self.most)
        return f"{sign} {value:g} {self.unit}"


def figure(scenario: str, contender: str, name: str, scale: float = 1.0) -> Measure:
    """One figure, scaled."""

    def measure(results: Results) -> Spread | None:
        spread = results.spread(scenario, contender, name)
        return None if spread is None else spread.scaled(scale)

    return measure


def ratio(scenario: str, over: Quantity, under: Quantity) -> Measure:
    """One figure over another, round by round; None unless both were measured."""
    return lambda results: results.ratio(scenario, over, under)


def to_baseline(scenario: str, name: str) -> Measure:
    """A figure of ours over the same of the scenario's baseline, round by round."""
    return ratio(scenario, (OURS, name), (OURS_BASELINE, name))


def _cpu(contender: str = OURS) -> Quantity:
    return contender, "cpu"


def _rate(contender: str = OURS) -> Quantity:
    return contender, "gets_per_second"


def _p50(contender: str) -> Quantity:
    return contender, "p50"


C = "canonical"
TARGETS: Final = (
    Target("CPU per get: obvious peer / ours", ratio(C, _cpu("obvious"), _cpu()), least=15),
    Target("CPU per get: ours / C echo", ratio(C, _cpu(), _cpu("echo-c")), most=1),
    Target("CPU per get: ours / Go echo", ratio(C, _cpu(), _cpu("echo-go")), most=1),
    Target("CPU per get: ours / nats-py echo", ratio(C, _cpu(), _cpu("echo-natspy")), most=1),
    Target("gets/s: ours / obvious peer", ratio(C, _rate(), _rate("obvious")), least=4),
    Target("CPU per get: nats-server / ours", ratio(C, (OURS, "nats_cpu"), _cpu()), least=1),
    Target("CPU per get: include of 3 of 10 fields / all", to_baseline("include", "cpu"), most=1.3),
    Target("CPU per get: 1 M endpoints / 10 k", to_baseline("endpoints-1M", "cpu"), most=2),
    Target(
        "p50 at window 1: ours / nats-py echo", ratio("window-1", _p50(OURS), _p50("echo-natspy")), most=1.1
    ),
    Target("RSS with 1 M endpoints cached", figure("endpoints-1M", OURS, "rss", 1e-6), most=700, unit="MB"),
    Target("CPU of an event", figure("events", OURS, "event_cpu"), most=1.5, unit="µs"),
    Target("CPU of a register's event, applied", figure("events-register", OURS, "event_cpu"), unit="µs"),
    Target(
        "gets/s kept, events on other endpoints", to_baseline("storm-other", "gets_per_second"), least=0.8
    ),
    Target(
        "gets/s kept, a stock service's events on those being read",
        to_baseline("storm-same", "gets_per_second"),
        least=0.5,
    ),
    Target(
        "gets/s kept, a register's events on those being read",
        to_baseline("storm-register", "gets_per_second"),
        least=0.5,
    ),
    Target(
        "gets/s kept, numbered events of real writes on those being read",
        to_baseline("storm-numbered", "gets_per_second"),
    ),
    Target(
        "503s, a stock service's events on those being read",
        figure("storm-same", OURS, "unavailable"),
        most=0,
        unit="answers",
    ),
    Target(
        "503s, a register's events on those being read",
        figure("storm-register", OURS, "unavailable"),
        most=0,
        unit="answers",
    ),
    Target("503s after a flush at full load", figure("flush", OURS, "unavailable"), most=0, unit="answers"),
    Target(
        "80 % of the rate again after a flush", figure("flush", OURS, "recovery_ms"), most=1000, unit="ms"
    ),
    Target("cold cache, gets/s: ours (motor) / obvious", ratio("cold", _rate(), _rate("obvious")), least=20),
    Target(
        "cold cache, gets/s: ours (pymongo) / obvious",
        ratio("cold", _rate(OURS_PYMONGO), _rate("obvious")),
        least=20,
    ),
)
"""The table of the project's issue 3, "What it must reach", and a figure that it names no bound for."""
