"""How often something may begin: a token bucket of one second's worth."""

from __future__ import annotations


class Rate:
    """At most ``per_second`` on the average, and as many at once after a second of silence."""

    def __init__(self, per_second: float, now: float) -> None:
        self._per_second = per_second
        self._most = max(1.0, per_second)
        self._left = self._most
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Whether one more may begin at ``now``, in seconds of a monotonic clock."""
        self._left = min(self._most, self._left + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
