"""Counters and histograms, by the names in ``engine/stats.py``."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from kaa_epr.engine.stats import BATCH_SIZE_BUCKETS, COUNTERS, WAIT_MS_BUCKETS


class Histogram:
    """Counts per upper bound, the last count for what is above them all."""

    def __init__(self, bounds: Sequence[int]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: int) -> None:
        """Counts one value."""
        self._counts[bisect_left(self._bounds, value)] += 1

    def counts(self) -> list[int]:
        """A copy of the counts."""
        return list(self._counts)


class Counters:
    """All that is counted since the start."""

    def __init__(self) -> None:
        self._values = dict.fromkeys(COUNTERS, 0)
        self.batch_sizes = Histogram(BATCH_SIZE_BUCKETS)
        self.wait_ms = Histogram(WAIT_MS_BUCKETS)

    def add(self, name: str, count: int = 1) -> None:
        """Adds to a counter; KeyError for a name that is none."""
        self._values[name] += count

    def values(self) -> dict[str, int]:
        """A copy of the counters."""
        return dict(self._values)
