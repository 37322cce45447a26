"""Judges every answer by the history: nothing invented, nothing rolled back, nothing staler than allowed.

Staleness of an answer is how long before its get was sent something newer was known: acknowledged by the
writer, seen in any answer, or seen in an answer of the same replica. Each has its own bound.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.support.history import Endpoint, History, Moments

OK: Final = 200
NOT_FOUND: Final = 404
UNAVAILABLE: Final = 503
EDGES: Final = (0.0, 1.0, 10.0, 60.0)
"""Seconds; the report counts answers staler than each."""
EXAMPLES: Final = 20


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a phase of a test allows; times in seconds."""

    acknowledged: float = 0.0
    """Staleness towards what the writer was told is done."""
    seen: float = 0.0
    """Staleness towards what any answer has shown."""
    own: float = 0.0
    """Staleness towards what the same replica has shown; more than 0 only where its store may go back."""
    unavailable: bool = False
    """Whether gets may be answered 503."""
    unanswered: bool = False
    """Whether gets may stay without an answer."""


STRICT: Final = Allowance()


class Answer(NamedTuple):
    """What the judge needs of a get response."""

    status: int
    counter: int | None
    """Of the metadata field ``n``."""
    tag: str | None
    reason: str = ""
    """Why it is not 200."""


@dataclass(slots=True)
class Staleness:
    """How much older answers were than what had been acknowledged when their gets were sent."""

    staler_than: Counter[float] = field(default_factory=Counter)
    """By ``EDGES``."""
    worst_seconds: float = 0.0

    def count(self, seconds: float) -> None:
        """One stale answer."""
        for edge in EDGES:
            if seconds > edge:
                self.staler_than[edge] += 1
        self.worst_seconds = max(self.worst_seconds, seconds)

    def __str__(self) -> str:
        counts = ", ".join(f"{self.staler_than[edge]} > {edge:g} s" for edge in EDGES)
        return f"{counts}; worst {self.worst_seconds:.3f} s"


@dataclass(slots=True)
class Report:
    """What has been judged so far."""

    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    """By reason: ``connection lost``, ``no responders``, ``timed out``."""
    staleness: dict[str, Staleness] = field(default_factory=dict)
    """By kind of writer; kinds without a stale answer are left out."""
    violations: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """Gets answered, whatever the status."""
        return sum(self.statuses.values())

    def __str__(self) -> str:
        lines = [f"{self.answered} answers {dict(self.statuses)}, unanswered {dict(self.unanswered)}"]
        lines += [f"stale, {kind}: {staleness}" for kind, staleness in self.staleness.items()]
        return "\n".join([*lines, f"violations: {self.violations}", *self.examples])


class Judge:
    """Takes every answer as it comes. ``check`` fails with examples of what was wrong."""

    def __init__(self, history: History, allowance: Allowance = STRICT) -> None:
        self.history = history
        self.report = Report()
        self._phases: list[tuple[int, Allowance]] = [(0, allowance)]

    # --- phases ---------------------------------------------------------------------------------------------
    def allow(self, allowance: Allowance) -> None:
        """From now on. A get whose wait touches several phases may use the most generous."""
        self._phases.append((time.monotonic_ns(), allowance))

    @contextmanager
    def phase(self, allowance: Allowance) -> Iterator[None]:
        """``allowance`` inside, what was allowed before afterwards."""
        before = self._phases[-1][1]
        self.allow(allowance)
        try:
            yield
        finally:
            self.allow(before)

    def _into_phase(self) -> float:
        return (time.monotonic_ns() - self._phases[-1][0]) / 1e9

    def _allowances(self, sent: int) -> Iterator[Allowance]:
        """Those in force at some moment since ``sent``."""
        for begun, allowance in reversed(self._phases):
            yield allowance
            if begun <= sent:
                return

    # --- judging --------------------------------------------------------------------------------------------
    def unanswered(self, endpoint_id: str, sent: int, reason: str) -> None:
        """A get that will not be answered any more."""
        self.report.unanswered[reason] += 1
        if not any(allowance.unanswered for allowance in self._allowances(sent)):
            self._violation(f"{endpoint_id}: no answer ({reason})")

    def twice(self, endpoint_id: str) -> None:
        """A second answer to the same get."""
        self._violation(f"{endpoint_id}: answered twice")

    def answer(self, endpoint_id: str, sent: int, answer: Answer, replica: str | None = None) -> None:
        """One answer that has just come; ``replica`` names who must have given it, where that is known."""
        self.report.statuses[answer.status] += 1
        if answer.status == UNAVAILABLE:
            if not any(allowance.unavailable for allowance in self._allowances(sent)):
                self._violation(
                    f"{endpoint_id}: 503 ({answer.reason}), {self._into_phase():.3f} s into its phase"
                )
            return
        endpoint = self.history.endpoints.get(endpoint_id)
        if endpoint is None:
            if answer.status != NOT_FOUND or endpoint_id not in self.history.unknown:
                self._violation(f"{endpoint_id}: answered {answer.status}, but it never existed")
            return
        if (counter := self._counter(endpoint, answer)) is not None:
            self._judge_age(endpoint, sent, counter, answer.status, replica)
            self._judge_tag(endpoint, counter, answer)

    def _counter(self, endpoint: Endpoint, answer: Answer) -> int | None:
        """What the answer shows, after a look at whether it can be true at all."""
        counter = answer.counter
        if answer.status == NOT_FOUND:
            counter = endpoint.deletions[-1] if endpoint.deletions else None
        if answer.status not in {OK, NOT_FOUND} or counter is None:
            self._violation(f"{endpoint.endpoint_id}: answered {answer.status} without what is stored")
            return None
        if counter > endpoint.begun:
            self._violation(f"{endpoint.endpoint_id}: shows {counter}, which was never written")
            return None
        if counter in endpoint.dropped:
            self._violation(f"{endpoint.endpoint_id}: shows {counter}, which was never committed")
        if counter in endpoint.doubtful:
            endpoint.answered.add(counter)
        return counter

    def _judge_age(
        self, endpoint: Endpoint, sent: int, counter: int, status: int, replica: str | None
    ) -> None:
        acknowledged = endpoint.acknowledged.behind(counter, sent)
        mine = Moments() if replica is None else endpoint.own.setdefault(replica, Moments())
        seen, own = endpoint.seen.behind(counter, sent), mine.behind(counter, sent)
        if status == OK:  # which deletion a 404 shows is not known: it may be an older one
            for moments in (endpoint.seen, mine):
                moments.note(counter, time.monotonic_ns())
        if acknowledged:
            self.report.staleness.setdefault(endpoint.kind, Staleness()).count(acknowledged / 1e9)
        if acknowledged or seen or own:
            self._judge_staleness(endpoint, counter, sent, (acknowledged, seen, own))

    def _judge_staleness(
        self, endpoint: Endpoint, counter: int, sent: int, ages: tuple[int, int, int]
    ) -> None:
        slack = endpoint.slack_ns
        for allowed in self._allowances(sent):
            bounds = (allowed.acknowledged * 1e9 + slack, allowed.seen * 1e9 + slack, allowed.own * 1e9)
            if all(age <= bound for age, bound in zip(ages, bounds, strict=True)):
                return
        names = ("acknowledged", "seen", "shown by this replica")
        told = ", ".join(
            f"{age / 1e9:.3f} s after newer was {name}" for age, name in zip(ages, names, strict=True) if age
        )
        latest = endpoint.acknowledged.counters[-1]
        self._violation(
            f"{endpoint.endpoint_id}: a get sent {told} was answered with {counter}; acknowledged: {latest}"
        )

    def _judge_tag(self, endpoint: Endpoint, counter: int, answer: Answer) -> None:
        """One read, one document: a value never comes with two versions."""
        if answer.status != OK:
            return
        if endpoint.tags.setdefault(counter, answer.tag) != answer.tag:
            self._violation(f"{endpoint.endpoint_id}: {counter} came with two eTags")
        if len(endpoint.tags) > 8:
            del endpoint.tags[next(iter(endpoint.tags))]

    def dropped(self, endpoint_id: str, counter: int) -> None:
        """A write turned out never to have been committed."""
        if self.history.drop(endpoint_id, counter):
            self._violation(f"{endpoint_id}: {counter} was answered and then rolled back")

    def _violation(self, what: str) -> None:
        self.report.violations += 1
        if len(self.report.examples) < EXAMPLES:
            self.report.examples.append(what)

    def check(self, least: int = 1) -> Report:
        """Fails if anything was wrong, or fewer than ``least`` gets were answered 200."""
        assert self.report.violations == 0, str(self.report)
        assert self.report.statuses[OK] >= least, str(self.report)
        return self.report
