"""How many bytes of requests may be under way, over REST and 19/EPMMP together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kaa_epr.refusals import Stored, Unavailable


class Budget:
    """Bytes of request bodies and payloads that have been read and not answered yet."""

    def __init__(self, most: int, on_full: Callable[[], None] = lambda: None) -> None:
        """``on_full``: called for each request that found no room."""
        self._most = most
        self._on_full = on_full
        self.used = 0

    def take(self, size: int) -> None:
        """Counts ``size`` bytes. Raises ``Unavailable`` when they are too many, and counts none."""
        if self.used + size > self._most:
            self._on_full()
            raise Unavailable("Too many requests are waiting", Stored.NO)
        self.used += size

    def give(self, size: int) -> None:
        """They are answered."""
        self.used -= size

    @contextmanager
    def share(self) -> Iterator[Share]:
        """A request whose size is not known from the beginning; what it took is given back in the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.give(share.taken)


class Share:
    """What one request has taken."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.taken = 0

    def take(self, size: int) -> None:
        """As ``Budget.take``."""
        self._budget.take(size)
        self.taken += size
