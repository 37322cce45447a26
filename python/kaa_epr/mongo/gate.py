"""A bound on what is under way at once, and on what waits for that."""

from __future__ import annotations

import asyncio

from kaa_epr.mongo.errors import Effect, StoreBusy, StoreTimeout


class Gate:
    """Lets ``at_once`` through together, in the order in which they came; ``waiting`` more may wait."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._most = at_once + waiting
        self.inside = 0
        """Let through, or waiting."""

    async def enter(self, operation: str, seconds: float) -> None:
        """Waits for a place; ``leave`` gives it back. Raises ``StoreBusy`` at once, or ``StoreTimeout``."""
        if self.inside >= self._most:
            raise StoreBusy(operation, self.inside)
        self.inside += 1
        try:
            async with asyncio.timeout(seconds):
                await self._free.acquire()
        except TimeoutError:
            self.inside -= 1
            raise StoreTimeout(operation, seconds, Effect.NONE) from None
        except BaseException:
            self.inside -= 1
            raise

    def leave(self) -> None:
        """The place is somebody else's."""
        self.inside -= 1
        self._free.release()
