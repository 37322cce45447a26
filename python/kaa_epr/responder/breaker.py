"""When a failing store is left alone, and when it is asked whether it is back.

Pure: no clock, no randomness, no I/O. Times are milliseconds of one monotonic clock.

```
           trip_after failures in a row,
           or one failure that alone is enough          probe due
  CLOSED ─────────────────────────────────────► OPEN ─────────────► PROBING
     ▲                                            ▲                    │ │
     │                                            └─── probe failed ───┘ │
     └───────────────────────── probe succeeded ─────────────────────────┘
```
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

_JITTER: Final = 0.5
"""The next probe comes after a half to three halves of the interval: replicas do not ask together."""


class BreakerState(IntEnum):
    """The numbers are those of the metric."""

    CLOSED = 0
    """Loads run."""
    OPEN = 1
    """No load is begun; a probe is due at some time."""
    PROBING = 2
    """No load is begun; one probe is under way."""


class Breaker:
    """The state; each method says whether it changed."""

    def __init__(self, *, trip_after: int, probe_interval_ms: int) -> None:
        self.state = BreakerState.CLOSED
        self.trips = 0
        self.probes = 0
        self._trip_after = trip_after
        self._interval_ms = probe_interval_ms
        self._failures = 0
        self._probe_at_ms = 0

    @property
    def closed(self) -> bool:
        """Whether loads may begin."""
        return self.state is BreakerState.CLOSED

    def load_succeeded(self) -> None:
        """A load was answered. While open it proves nothing: it may have been answered before the trouble."""
        self._failures = 0

    def load_failed(self, mono_ms: int, *, enough: bool) -> bool:
        """A load failed; ``enough`` trips at once. The first probe is due immediately: it may be a hiccup."""
        if not self.closed:
            return False
        self._failures += 1
        if self._failures < self._trip_after and not enough:
            return False
        self.state = BreakerState.OPEN
        self.trips += 1
        self._probe_at_ms = mono_ms
        return True

    def probe_due(self, mono_ms: int) -> bool:
        """Whether a probe is to be sent now; if so it counts as sent."""
        if self.state is not BreakerState.OPEN or mono_ms < self._probe_at_ms:
            return False
        self.state = BreakerState.PROBING
        self.probes += 1
        return True

    def probe_succeeded(self) -> None:
        """The store is back."""
        assert self.state is BreakerState.PROBING
        self.state = BreakerState.CLOSED
        self._failures = 0

    def probe_failed(self, mono_ms: int, chance: float) -> None:
        """It is not. ``chance`` is a random number from 0 to 1."""
        assert self.state is BreakerState.PROBING
        self.state = BreakerState.OPEN
        self._probe_at_ms = mono_ms + round(self._interval_ms * (1 - _JITTER + 2 * _JITTER * chance))
