"""What the responder must reach, as data: ratios of medians measured in one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.results import Results
from bench.scenarios import OURS, OURS_PYMONGO

Measure = Callable[[Results], float | None]


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
    """One median, scaled."""

    def measure(results: Results) -> float | None:
        value = results.median(scenario, contender, name)
        return None if value is None else value * scale

    return measure


def ratio(over: Measure, under: Measure) -> Measure:
    """One figure over another; None unless both were measured."""

    def measure(results: Results) -> float | None:
        above, below = over(results), under(results)
        return None if above is None or not below else above / below

    return measure


def _cpu(scenario: str, contender: str = OURS) -> Measure:
    return figure(scenario, contender, "cpu")


def _rate(scenario: str, contender: str = OURS) -> Measure:
    return figure(scenario, contender, "gets_per_second")


def _p50(contender: str) -> Measure:
    return figure("window-1", contender, "p50")


C = "canonical"
TARGETS: Final = (
    Target("CPU per get: obvious peer / ours", ratio(_cpu(C, "obvious"), _cpu(C)), least=15),
    Target("CPU per get: ours / C echo", ratio(_cpu(C), _cpu(C, "echo-c")), most=1),
    Target("CPU per get: ours / Go echo", ratio(_cpu(C), _cpu(C, "echo-go")), most=1),
    Target("CPU per get: ours / nats-py echo", ratio(_cpu(C), _cpu(C, "echo-natspy")), most=1),
    Target("gets/s: ours / obvious peer", ratio(_rate(C), _rate(C, "obvious")), least=4),
    Target("CPU per get: nats-server / ours", ratio(figure(C, OURS, "nats_cpu"), _cpu(C)), least=1),
    Target("CPU per get: include of 3 of 10 fields / all", ratio(_cpu("include"), _cpu(C)), most=1.3),
    Target("CPU per get: 1 M endpoints / 10 k", ratio(_cpu("endpoints-1M"), _cpu(C)), most=2),
    Target("p50 at window 1: ours / nats-py echo", ratio(_p50(OURS), _p50("echo-natspy")), most=1.1),
    Target("RSS with 1 M endpoints cached", figure("endpoints-1M", OURS, "rss", 1e-6), most=700, unit="MB"),
    Target("CPU of an event", figure("events", OURS, "event_cpu"), most=1.5, unit="µs"),
    Target("gets/s kept, events on other endpoints", ratio(_rate("storm-other"), _rate(C)), least=0.8),
    Target("gets/s kept, events on those being read", ratio(_rate("storm-same"), _rate(C)), least=0.5),
    Target(
        "gets/s kept, numbered events of real writes on those being read",
        ratio(_rate("storm-numbered"), _rate(C)),
    ),
    Target(
        "503s, events on those being read", figure("storm-same", OURS, "unavailable"), most=0, unit="answers"
    ),
    Target("503s after a flush at full load", figure("flush", OURS, "unavailable"), most=0, unit="answers"),
    Target(
        "80 % of the rate again after a flush", figure("flush", OURS, "recovery_ms"), most=1000, unit="ms"
    ),
    Target(
        "cold cache, gets/s: ours (motor) / obvious", ratio(_rate("cold"), _rate("cold", "obvious")), least=20
    ),
    Target(
        "cold cache, gets/s: ours (pymongo) / obvious",
        ratio(_rate("cold", OURS_PYMONGO), _rate("cold", "obvious")),
        least=20,
    ),
)
"""The table of the project's issue 3, "What it must reach", and a figure that it names no bound for."""
