"""Stored results: one file a run, every round's report in it; medians are made when they are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, Final

from bench.generator import ROOT

FORMAT: Final = 2
"""Of what is stored. Format 1 neither numbered its rounds nor measured baselines beside."""
READABLE: Final = (1, FORMAT)
RESULTS: Final = ROOT / "bench" / "results"

Report = dict[str, Any]
"""One round of one contender: what the load generator reported, and the round's number."""
Quantity = tuple[str, str]
"""A contender and a figure of ``FIGURES``."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """None of nothing."""
        return cls(median(values), min(values), max(values)) if values else None

    def scaled(self, scale: float) -> Spread:
        """In another unit."""
        return Spread(self.median * scale, self.least * scale, self.most * scale)


class Results:
    """One stored run."""

    def __init__(self, content: dict[str, Any]) -> None:
        if content["format"] not in READABLE:
            raise ValueError(f"results of format {content['format']}, not {FORMAT}")
        self.content = content

    @classmethod
    def read(cls, path: Path) -> Results:
        """From a file."""
        return cls(json.loads(path.read_text()))

    def rounds(self, scenario: str, contender: str) -> list[Report]:
        """All rounds of one contender; empty when it was not measured."""
        found = self.content["scenarios"].get(scenario, {"contenders": {}})
        rounds: list[Report] = found["contenders"].get(contender, {"rounds": []})["rounds"]
        return rounds

    def spread(self, scenario: str, contender: str, figure: str) -> Spread | None:
        """A figure of ``FIGURES`` over the rounds; None when it was not measured."""
        values = map(FIGURES[figure], self.rounds(scenario, contender))
        return Spread.of([value for value in values if value is not None])

    def ratio(self, scenario: str, over: Quantity, under: Quantity) -> Spread | None:
        """One figure over another of the same round; None when no round has both.

        What slows the machine down for longer than a round slows both down.
        """
        above, below = self._numbered(scenario, *over), self._numbered(scenario, *under)
        return Spread.of([value / below[number] for number, value in above.items() if below.get(number)])

    def _numbered(self, scenario: str, contender: str, figure: str) -> dict[int, float]:
        """A figure by the number of the round."""
        rounds = self.rounds(scenario, contender)
        if self.content["format"] > 1:
            numbered = {report["round"]: report for report in rounds}
        elif len(rounds) == self.content["rounds"]:  # none failed, so their places are their numbers
            numbered = dict(enumerate(rounds, 1))
        else:
            return {}
        values = {number: FIGURES[figure](report) for number, report in numbered.items()}
        return {number: value for number, value in values.items() if value is not None}


def newest() -> Path | None:
    """The latest stored run: names go on with the time. Other programs keep their results here too."""
    return max(RESULTS.glob("bench-*.json"), default=None)


def _cpu(process: str) -> Callable[[Report], float | None]:
    def figure(report: Report) -> float | None:
        usage = report["load"] if process == "load" else report["watched"].get(process)
        return None if usage is None else usage["cpu_us_per_get"]

    return figure


def _event_cpu(report: Report) -> float | None:
    events = report["events"]
    return report["watched"]["responder"]["cpu_seconds"] * 1e6 / events if events else None


def _latency(quantile: str) -> Callable[[Report], float | None]:
    return lambda report: report["latency_us"][quantile] if report["latency_us"]["count"] else None


def _unavailable(report: Report) -> float:
    return float(report["statuses"].get("503", 0))


AGAIN: Final = 0.8
"""Share of the rate before a flush that counts as having it again ..."""
SPANS_MS: Final = (100, 1000)
"""... over the next tenth of a second, and over the next second, so that a short peak does not count."""


def _recovery(report: Report) -> float | None:
    """Milliseconds from the flush until the rate is there again; the rest of the run if it never is."""
    if report["series"] is None or "flush_at" not in report:
        return None
    length, counts = report["series"]["interval_ms"], report["series"]["right"]
    at = int(report["flush_at"] * 1000 / length)
    enough = AGAIN * (mean(counts[:at]) if at else 0)
    spans = [max(1, span // length) for span in SPANS_MS]
    for index in range(at, len(counts)):
        if all(mean(counts[index : index + span]) >= enough for span in spans):
            return float((index - at) * length)
    return float((len(counts) - at) * length)


FIGURES: Final[dict[str, Callable[[Report], float | None]]] = {
    "gets_per_second": lambda report: report["gets_per_second"] if report["gets"] else None,
    "cpu": _cpu("responder"),
    "nats_cpu": _cpu("nats"),
    "mongo_cpu": _cpu("mongo"),
    "load_cpu": _cpu("load"),
    "event_cpu": _event_cpu,
    "p50": _latency("p50"),
    "p99": _latency("p99"),
    "p999": _latency("p999"),
    "rss": lambda report: report["watched"]["responder"]["rss_bytes"],
    "unavailable": _unavailable,
    "faults": lambda report: float(sum(report["faults"].values())),
    "recovery_ms": _recovery,
    "events_per_second": lambda report: report["events"] / report["seconds"],
    "prefill_per_second": lambda report: (
        report["prefill"] and report["prefill"]["gets"] / report["prefill"]["seconds"]
    ),
}
"""Each figure of a round: times in microseconds unless the name says otherwise, sizes in bytes."""
