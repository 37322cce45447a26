"""Knows what was acknowledged when, and judges every answer by it."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

LIMITS: Final = (0.1, 1.0, 10.0, 60.0)
"""Seconds; stale answers are counted by which of these they exceed."""
REMEMBERED: Final = 256
"""Acknowledged numbers kept of each endpoint, to tell since when an answer is stale."""
EXAMPLES: Final = 50
UNDER_WAY: Final = 1.0
"""Seconds: a get that was sent so short before a fault and never answered was lost to that fault."""


@dataclass(slots=True)
class Phase:
    """What happened while, and after, one fault was injected."""

    name: str
    begun: float
    ended: float = 0.0
    answers: int = 0
    stale: Counter[float] = field(default_factory=Counter)
    worst: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    """Gets that nobody was there for (no responders)."""
    lost: int = 0
    wrong: int = 0


class Judge:
    """The history of ``count`` endpoints, and what was found by it.

    An endpoint's numbers only grow. Once number n is acknowledged, a get sent from then on must be answered
    with n or more; if not, the answer is as stale as the time since the first number that it misses was
    acknowledged. It must not be answered with more than was ever attempted either.
    """

    def __init__(self, count: int) -> None:
        self.acknowledged = [1] * count
        """The last acknowledged number of each endpoint: the floor of a get that is sent now."""
        self.attempted = [1] * count
        self._history: list[deque[tuple[int, float]]] = [deque(maxlen=REMEMBERED) for _ in range(count)]
        self.phases = [Phase("start", time.monotonic())]
        self.now = self.phases[0]
        self.unavailable: Counter[int] = Counter()
        """503 by second since the start."""
        self.missing: Counter[int] = Counter()
        """Gets that nobody answered, by the second in which they were sent."""
        self.examples: list[dict[str, Any]] = []

    # --- writers --------------------------------------------------------------------------------------------
    def attempt(self, endpoint: int) -> int:
        """The next number to write."""
        self.attempted[endpoint] += 1
        return self.attempted[endpoint]

    def acknowledge(self, endpoint: int, number: int) -> None:
        """It is stored by the majority, and a server has taken its event (or will never see it: a fault)."""
        self.acknowledged[endpoint] = number
        self._history[endpoint].append((number, time.monotonic()))

    # --- answers --------------------------------------------------------------------------------------------
    def stale(self, endpoint: int, number: int, floor: int, sent: float) -> None:
        """An answer with less than its floor."""
        since = next((at for known, at in self._history[endpoint] if known > number), sent)
        age = max(0.0, sent - since)
        phase = self.now
        phase.worst = max(phase.worst, age)
        phase.stale[0.0] += 1
        for limit in LIMITS:
            if age > limit:
                phase.stale[limit] += 1
        if age > LIMITS[0]:
            self._example("stale", endpoint=endpoint, number=number, floor=floor, seconds=round(age, 3))

    def invented(self, endpoint: int, number: int) -> None:
        """An answer with more than anybody wrote."""
        self.now.wrong += 1
        self._example("invented", endpoint=endpoint, number=number, attempted=self.attempted[endpoint])

    def malformed(self, endpoint: int, body: bytes) -> None:
        """An answer of a form that no right answer has."""
        self.now.wrong += 1
        self._example("malformed", endpoint=endpoint, body=body[:200].hex())

    def refused_with(self, status: int) -> None:
        """An answer with another status than 200."""
        self.now.statuses[status] += 1
        if status == 503:
            self.unavailable[int(time.monotonic() - self.phases[0].begun)] += 1
        else:
            self.now.wrong += 1
            self._example("status", status=status)

    def lost(self, sent: float) -> None:
        """A get that nobody answered, put down to what happened when it was sent, or right after."""
        until = sent + UNDER_WAY
        phase = next((phase for phase in reversed(self.phases) if phase.begun <= until), self.phases[0])
        phase.lost += 1
        self.missing[int(sent - self.phases[0].begun)] += 1

    # --- phases ---------------------------------------------------------------------------------------------
    def enter(self, name: str) -> Phase:
        """What comes from now on is put down to ``name``."""
        self.now.ended = time.monotonic()
        self.now = Phase(name, self.now.ended)
        self.phases.append(self.now)
        return self.now

    def _example(self, what: str, **facts: Any) -> None:
        if len(self.examples) < EXAMPLES:
            at = round(time.monotonic() - self.phases[0].begun, 3)
            self.examples.append({"what": what, "at": at, "phase": self.now.name, **facts})
