"""Rates by the second, and memory over time."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from bench.soak.fleet import Fleet, resident_bytes

MEMORY_SECONDS: Final = 10.0


class Sampling:
    """Reads counters that only grow once a second, and the memory of all processes every ten."""

    def __init__(self, fleet: Fleet, counters: Mapping[str, Callable[[], int]]) -> None:
        self._fleet = fleet
        self._counters = counters
        self._begun = time.monotonic()
        self.rates: dict[str, list[float]] = {name: [] for name in counters}
        self.memory: dict[str, list[tuple[int, int]]] = {}
        """By process: (seconds since the start, bytes)."""

    async def run(self) -> None:
        """Until cancelled."""
        before = {name: read() for name, read in self._counters.items()}
        last, measured = time.monotonic(), 0.0
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            for name, read in self._counters.items():
                count = read()
                self.rates[name].append((count - before[name]) / (now - last))
                before[name] = count
            if now - measured > MEMORY_SECONDS:
                measured = now
                self._measure(int(now - self._begun))
            last = now

    def _measure(self, second: int) -> None:
        for name, pid in self._fleet.processes().items():
            if size := resident_bytes(pid):
                self.memory.setdefault(name, []).append((second, size))

    def summary(self) -> dict[str, dict[str, Any]]:
        """Of each rate: mean, median, minimum and the fifth percentile over all seconds."""
        return {name: _spread(values) for name, values in self.rates.items() if len(values) > 1}


def _spread(values: list[float]) -> dict[str, Any]:
    ordered = sorted(values)
    return {
        "mean": round(statistics.fmean(ordered)),
        "median": round(statistics.median(ordered)),
        "p5": round(ordered[len(ordered) // 20]),
        "min": round(ordered[0]),
        "seconds": len(ordered),
    }
