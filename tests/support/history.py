"""What was written when, by the one process that knows: the ground on which answers are judged.

Every write of an endpoint puts the next number of a counter that only grows into its metadata field ``n``.
An endpoint has one writer, which begins the next write when it knows what became of the last. All moments
are ``time.monotonic_ns()`` of this process.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

KEPT: Final = 512
"""Moments kept of one endpoint. An answer older than all of them is as old as the oldest at least."""


@dataclass(slots=True)
class Moments:
    """Counters and when each was known, both growing."""

    counters: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)

    def note(self, counter: int, now: int) -> None:
        """``counter`` is known from ``now`` on; what is known already stays."""
        if self.counters and counter <= self.counters[-1]:
            return
        self.counters.append(counter)
        self.at.append(now)
        if len(self.counters) > KEPT:
            del self.counters[: KEPT // 2]
            del self.at[: KEPT // 2]

    def behind(self, counter: int, now: int) -> int:
        """How long before ``now`` something newer than ``counter`` was known, in ns; 0 if it was not."""
        newer = bisect_right(self.counters, counter)
        return max(0, now - self.at[newer]) if newer < len(self.at) else 0


@dataclass(slots=True)
class Endpoint:
    """One endpoint. Counter 0 is what it had before the first write."""

    endpoint_id: str
    kind: str = "numbered"
    """Of its writer, for the report: ``numbered``, ``foreign``, ``silent``."""
    slack_ns: int = 0
    """Staleness that its kind of writer is allowed beyond what the phase allows."""
    begun: int = 0
    acknowledged: Moments = field(default_factory=Moments)
    seen: Moments = field(default_factory=Moments)
    """By whomever."""
    own: dict[str, Moments] = field(default_factory=dict)
    """Seen in the answers of one replica, by its name."""
    deletions: list[int] = field(default_factory=list)
    """Counters of writes that removed it."""
    dropped: set[int] = field(default_factory=set)
    """Never committed by the majority."""
    answered: set[int] = field(default_factory=set)
    """Counters in answers that were in doubt when they came."""
    doubtful: set[int] = field(default_factory=set)
    """Neither acknowledged nor dropped yet."""
    tags: dict[int, str | None] = field(default_factory=dict)
    """The eTag that each of the last counters was answered with."""


class History:
    """All endpoints that are written, and those that are known not to exist."""

    def __init__(self, endpoint_ids: Iterable[str] = (), unknown: Iterable[str] = ()) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        self.unknown = frozenset(unknown)
        self.writes = self.unclear = self.rolled_back = 0
        for endpoint_id in endpoint_ids:
            self.add(endpoint_id)

    def add(self, endpoint_id: str, kind: str = "numbered", slack_s: float = 0.0) -> Endpoint:
        """An endpoint that exists with counter 0."""
        made = Endpoint(endpoint_id, kind, round(slack_s * 1e9))
        made.acknowledged.note(0, time.monotonic_ns())
        self.endpoints[endpoint_id] = made
        return made

    def begin(self, endpoint_id: str, *, deletes: bool = False) -> int:
        """The counter of the next write, directly before it is sent."""
        endpoint = self.endpoints[endpoint_id]
        endpoint.begun += 1
        endpoint.doubtful.add(endpoint.begun)
        if deletes:
            endpoint.deletions.append(endpoint.begun)
        self.writes += 1
        return endpoint.begun

    def acknowledge(self, endpoint_id: str, counter: int) -> None:
        """Its writer may rely on it: from now on nobody should read anything older."""
        endpoint = self.endpoints[endpoint_id]
        endpoint.doubtful.discard(counter)
        endpoint.acknowledged.note(counter, time.monotonic_ns())

    def unknown_outcome(self) -> None:
        """The writer was told neither way; ``commit`` or ``drop`` follows when it is known."""
        self.unclear += 1

    def commit(self, endpoint_id: str, counter: int) -> None:
        """A majority read shows it, but nobody was promised anything."""
        self.endpoints[endpoint_id].doubtful.discard(counter)

    def drop(self, endpoint_id: str, counter: int) -> bool:
        """It was rolled back or never stored. Returns whether an answer showed it all the same."""
        endpoint = self.endpoints[endpoint_id]
        endpoint.doubtful.discard(counter)
        endpoint.dropped.add(counter)
        self.rolled_back += 1
        return counter in endpoint.answered
