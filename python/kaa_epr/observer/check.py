"""One event, checked: asks until the answer is as new as the event, and so learns for how long it was not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from kaa_epr.log import Repeats, get_logger
from kaa_epr.observer.asking import Asker
from kaa_epr.observer.counts import Counts, Evidence, Reply, Verdict
from kaa_epr.observer.judging import Finding, State, Stored, judge
from kaa_epr.observer.reading import Reader
from kaa_epr.observer.told import Told

_log = get_logger(__name__)

FIRST_PAUSE: Final = 0.02
"""Seconds between two questions at first; doubles up to ``LONGEST_PAUSE``."""
LONGEST_PAUSE: Final = 0.5
CONFIRMATIONS: Final = 3
"""Fresh rounds in a row that end staleness: of several replicas, a fresh one may be asked by chance."""

_WORST_FIRST: Final = (
    Finding.OLDER,
    Finding.DIFFERS,
    Finding.RACED,
    Finding.BEHIND,
    Finding.OPEN,
    Finding.FRESH,
)
_SETBACKS: Final = {
    Reply.UNAVAILABLE: Verdict.UNAVAILABLE,
    Reply.NONE: Verdict.UNANSWERED,
    Reply.OTHER: Verdict.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """How checks ask. Times in seconds."""

    delay: float = 0.0
    """Between the event and the first question."""
    questions: int = 1
    """Gets sent at once, each to any replica; the oldest answer counts."""
    give_up: float = 75.0
    """After the event, a check whose answers stay stale ends."""
    patience: float = 10.0
    """After the first question, a check that learns nothing ends."""
    settle: float = 1.0
    """How long a further event is waited for before a difference from the store is called staleness."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all checks share."""

    asker: Asker
    reader: Reader | None
    counts: Counts
    policy: Policy
    repeats: Repeats


class Check:
    """Staleness is a lower bound: from the event's arrival here to the last question with a stale answer."""

    def __init__(self, told: Told, heard_at: float, tools: Tools) -> None:
        """``heard_at``: on the loop's clock."""
        self.told = told
        self._heard_at = heard_at
        self._tools = tools
        self._stale: float | None = None
        self._reference: Stored | None = None
        """What the store held when an answer differed from it for the first time."""
        self._differed: float | None = None
        self._fresh = 0
        self._disturbed = False
        self._foreign = False
        self._setback = Verdict.AMBIGUOUS

    def hear(self, told: Told) -> None:
        """Another event of the endpoint."""
        if told.follows(self.told):
            self._disturbed = True
            self._foreign = self._foreign or told.version is None

    def miss(self) -> None:
        """Events may have been missed."""
        self._disturbed = True

    async def run(self) -> Verdict:
        """Asks until there is a verdict; cancelled, the one that is known so far."""
        try:
            verdict = await self._run()
        except asyncio.CancelledError:
            verdict = Verdict.UNFINISHED
        if self._stale is None:
            return verdict
        self._report(self._stale)
        return Verdict.STALE

    async def _run(self) -> Verdict:
        loop, policy = asyncio.get_running_loop(), self._tools.policy
        await asyncio.sleep(policy.delay)
        began, pause = loop.time(), FIRST_PAUSE
        while True:
            asked_at = loop.time()
            verdict = self._take(*await self._round(), asked_at - self._heard_at)
            if verdict is None and self._is_over(began, loop.time()):
                verdict = self._last_word()
            if verdict is not None:
                return await self._settle() if verdict is Verdict.STALE else verdict
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)

    async def _round(self) -> tuple[Finding | None, Stored | None]:
        """The worst of some answers, and the store it was compared with; None: no answer tells anything."""
        asker, policy = self._tools.asker, self._tools.policy
        id_ = self.told.endpoint_id
        if policy.questions == 1:
            outcomes = [await asker.ask(id_)]
        else:
            outcomes = await asyncio.gather(*(asker.ask(id_) for _ in range(policy.questions)))
        answers = [outcome for outcome in outcomes if isinstance(outcome, State)]
        if not answers:
            self._setback = _SETBACKS[next(outcome for outcome in outcomes if isinstance(outcome, Reply))]
            return None, None
        stored = None if self._tools.reader is None else await self._tools.reader.read(id_)
        if stored is None:
            self._tools.counts.judged_without_store += 1
        findings = {judge(self.told, answer, stored) for answer in answers}
        return next(finding for finding in _WORST_FIRST if finding in findings), stored

    def _take(self, finding: Finding | None, stored: Stored | None, age: float) -> Verdict | None:
        """What a round comes to, asked ``age`` seconds after the event; None: ask again."""
        match finding:
            case Finding.FRESH:
                return self._take_fresh(stored)
            case Finding.OLDER if not self._foreign:
                self._fresh = 0
                self._grow(age, Evidence.VERSION)
            case Finding.DIFFERS if not self._disturbed:
                return self._take_difference(stored, age)
            case Finding.OLDER | Finding.DIFFERS | Finding.RACED:
                return Verdict.AMBIGUOUS
            case Finding.BEHIND | Finding.OPEN:
                self._setback = Verdict.AMBIGUOUS
        return None

    def _take_fresh(self, stored: Stored | None) -> Verdict | None:
        if self._stale is None and self._reference is None:
            return Verdict.FRESH
        if self._reference is not None and stored != self._reference:
            return Verdict.AMBIGUOUS
        self._fresh += 1
        return self._last_word() if self._fresh >= CONFIRMATIONS else None

    def _take_difference(self, stored: Stored | None, age: float) -> Verdict | None:
        """The first difference shows what to compare with; the next ones count while that stays."""
        self._fresh = 0
        if self._reference is None:
            self._reference = stored
        elif stored == self._reference:
            self._differed = age
        else:
            return Verdict.AMBIGUOUS
        return None

    def _is_over(self, began: float, now: float) -> bool:
        policy = self._tools.policy
        if self._stale is None and self._differed is None:
            return now > began + policy.patience
        return now > self._heard_at + policy.give_up

    def _last_word(self) -> Verdict:
        if self._stale is not None or self._differed is not None:
            return Verdict.STALE
        return Verdict.AMBIGUOUS if self._reference is not None else self._setback

    async def _settle(self) -> Verdict:
        """Versions prove; a difference from the store does, unless an event tells now of a further write."""
        if self._stale is None and self._differed is not None:
            await asyncio.sleep(self._tools.policy.settle)
            if self._disturbed:
                return Verdict.AMBIGUOUS
            self._grow(self._differed, Evidence.STORE)
        return Verdict.STALE

    def _grow(self, age: float, evidence: Evidence) -> None:
        counts = self._tools.counts
        if self._stale is None:
            counts.evidence[evidence] += 1
        counts.staleness(self._stale, age)
        self._stale = age

    def _report(self, seconds: float) -> None:
        facts = {"endpoint_id": self.told.endpoint_id, "version": self.told.version}
        self._tools.repeats.warning(_log, "answers were stale", **facts, seconds=round(seconds, 3))
