"""How much others on the machine slow this thread down."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ACCOUNT: Final = Path("/proc/thread-self/schedstat")
"""Nanoseconds on a processor, nanoseconds ready to run without one, time slices (Linux,
``Documentation/scheduler/sched-stats.rst``)."""
_KEPT: Final = 0.5
"""How much what was seen before counts, at each look."""


class Contention:
    """Of the thread that looks, in the spans between ``begin`` and ``end``, the latest counting most."""

    def __init__(self, account: Path | None = None) -> None:
        """``account``: the kernel's; where there is none, nobody is slowed down."""
        self._path = account or ACCOUNT
        self._begun = self._look()
        self._ran = self._waited = 0.0

    def begin(self) -> None:
        """A span begins."""
        self._begun = self._look()

    def end(self) -> float:
        """A span ends. Time ready to run over time running: 1.0 with a processor to oneself."""
        (ran, waited), begun = self._look(), self._begun
        self._ran = self._ran * _KEPT + ran - begun[0]
        self._waited = self._waited * _KEPT + waited - begun[1]
        return 1.0 + self._waited / self._ran if self._ran > 0 else 1.0

    def _look(self) -> tuple[int, int]:
        try:
            ran, waited, _ = self._path.read_bytes().split()
        except OSError:
            return 0, 0
        return int(ran), int(waited)
