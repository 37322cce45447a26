"""What came of everything: counters, the metrics made of them, and the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from kaa_epr.metrics_table import Row

THRESHOLDS: Final = (0.0, 1.0, 10.0, 60.0)
"""Seconds; an answer that was stale for longer than each is counted."""


class Verdict(StrEnum):
    """What became of one checked event. Every check that ended has one."""

    FRESH = "fresh"
    STALE = "stale"
    AMBIGUOUS = "ambiguous"
    """A further write, or a gap in what the observer heard, leaves it open whether an answer was right."""
    UNAVAILABLE = "unavailable"
    """The responder answered 503."""
    UNANSWERED = "unanswered"
    """No answer in time, or nobody listens."""
    REFUSED = "refused"
    """Another error, such as 413."""
    UNFINISHED = "unfinished"
    """The observer was stopped before."""


class Skip(StrEnum):
    """Why an event was not checked."""

    RATE = "rate"
    CONCURRENCY = "concurrency"


class Evidence(StrEnum):
    """What proved that an answer was stale."""

    VERSION = "version"
    """Its version is below that of an event heard before it was asked for."""
    STORE = "store"
    """It went on to differ from the store, while nothing was written and no event came."""


class Reply(StrEnum):
    """Answers to single questions."""

    FOUND = "200"
    UNKNOWN = "404"
    UNAVAILABLE = "503"
    NONE = "none"
    OTHER = "other"


@dataclass(slots=True)
class Counts:
    """Since start; ``worst`` in seconds."""

    events: int = 0
    undecodable: int = 0
    checks: int = 0
    questions: int = 0
    store_reads: int = 0
    store_failures: int = 0
    judged_without_store: int = 0
    skipped: dict[Skip, int] = field(default_factory=lambda: dict.fromkeys(Skip, 0))
    replies: dict[Reply, int] = field(default_factory=lambda: dict.fromkeys(Reply, 0))
    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    evidence: dict[Evidence, int] = field(default_factory=lambda: dict.fromkeys(Evidence, 0))
    stale: dict[float, int] = field(default_factory=lambda: dict.fromkeys(THRESHOLDS, 0))
    """Checks by how long answers were stale for, at least; each check counts under all it exceeds."""
    worst: float = 0.0

    def staleness(self, before: float | None, now: float) -> None:
        """One check's staleness grew from ``before`` (None: not known to be stale) to ``now`` seconds."""
        for threshold in THRESHOLDS:
            already = before is not None and (threshold == 0 or before > threshold)
            if not already and (threshold == 0 or now > threshold):
                self.stale[threshold] += 1
        self.worst = max(self.worst, now)

    def numbers(self) -> dict[str, float]:
        """Every number under the name that ``OBSERVER_TABLE`` has for it."""
        plain = ("events", "undecodable", "checks", "questions", "store_reads", "store_failures")
        numbers: dict[str, float] = {name: getattr(self, name) for name in plain}
        numbers |= {"judged_without_store": self.judged_without_store, "worst": self.worst}
        for prefix, by_label in self._labelled().items():
            numbers |= {f"{prefix}_{label}": count for label, count in by_label.items()}
        return numbers

    def summary(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "events": self.events,
            "undecodable": self.undecodable,
            "checked": self.checks,
            "questions": self.questions,
            **{name: dict(by_label) for name, by_label in self._labelled().items()},
            "worstStalenessSeconds": round(self.worst, 6),
            "store": {"reads": self.store_reads, "failures": self.store_failures},
            "judgedWithoutStore": self.judged_without_store,
        }

    def _labelled(self) -> dict[str, Mapping[str, int]]:
        return {
            "skipped": {skip.value: count for skip, count in self.skipped.items()},
            "replies": {reply.value: count for reply, count in self.replies.items()},
            "verdicts": {verdict.value: count for verdict, count in self.verdicts.items()},
            "staleLongerThan": {f"{threshold:g}": count for threshold, count in self.stale.items()},
            "evidence": {evidence.value: count for evidence, count in self.evidence.items()},
        }


def _counter(name: str, key: str, text: str) -> Row:
    return Row(f"kaa_epr_observer_{name}", "counter", "observer", {"": key}, text)


def _gauge(name: str, key: str, text: str) -> Row:
    return Row(f"kaa_epr_observer_{name}", "gauge", "observer", {"": key}, text)


def _labelled(name: str, label: str, prefix: str, values: tuple[str, ...], text: str) -> Row:
    samples = {value: f"{prefix}_{value}" for value in values}
    return Row(f"kaa_epr_observer_{name}", "counter", "observer", samples, text, label)


OBSERVER_TABLE: Final = (
    _counter("events", "events", "Events heard."),
    _counter("events_undecodable", "undecodable", "Events that name no endpoint."),
    _counter("gaps", "gaps", "Times events may have been missed: reconnects, overflows of the subscription."),
    _gauge("hearing", "hearing", "1 while every event subscription is confirmed."),
    _counter("checks", "checks", "Events checked."),
    _labelled("skipped", "reason", "skipped", tuple(Skip), "Events not checked, as a limit was reached."),
    _gauge("open_checks", "open", "Checks under way."),
    _counter("questions", "questions", "Gets sent, repeated ones included."),
    _labelled("replies", "status", "replies", tuple(Reply), "Answers to these; `none`: nothing in time."),
    _labelled("verdicts", "verdict", "verdicts", tuple(Verdict), "Checks that ended, by what they showed."),
    _labelled(
        "stale",
        "longer_than",
        "staleLongerThan",
        tuple(f"{threshold:g}" for threshold in THRESHOLDS),
        "Checks that got stale answers for longer than so many seconds after the event.",
    ),
    _labelled("evidence", "kind", "evidence", tuple(Evidence), "Stale checks by what proved it."),
    _gauge(
        "worst_staleness_seconds", "worst", "Longest time after an event that a stale answer was asked for."
    ),
    _counter("store_reads", "store_reads", "Endpoints read from MongoDB."),
    _counter("store_failures", "store_failures", "Endpoints that could not be read from MongoDB."),
    _counter("judged_without_store", "judged_without_store", "Answers judged by versions alone."),
)
