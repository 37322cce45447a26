"""Stored results: one file a run, every round's report in it; medians are made when they are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, Final

from bench.generator import ROOT

FORMAT: Final = 1
RESULTS: Final = ROOT / "bench" / "results"

Report = dict[str, Any]
"""One round of one contender, as the load generator reported it."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds."""

    median: float
    least: float
    most: float


class Results:
    """One stored run."""

    def __init__(self, content: dict[str, Any]) -> None:
        if content["format"] != FORMAT:
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
        values = [
            value
            for report in self.rounds(scenario, contender)
            if (value := FIGURES[figure](report)) is not None
        ]
        return Spread(median(values), min(values), max(values)) if values else None

    def median(self, scenario: str, contender: str, figure: str) -> float | None:
        """The median alone."""
        spread = self.spread(scenario, contender, figure)
        return None if spread is None else spread.median


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
