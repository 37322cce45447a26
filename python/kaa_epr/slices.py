"""Long work in slices, between which the event loop serves others, gets above all; short work by turns."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

SECONDS: Final = 0.001
"""A slice. While gets wait for longer than this, clients and server run out of what they can do meanwhile."""


class Slice:
    """Measures how long the work has kept the loop; ``give_way`` is called between its items."""

    def __init__(self) -> None:
        self._begun = perf_counter()

    async def give_way(self) -> None:
        """A turn of the loop for others, if a slice is over."""
        if perf_counter() - self._begun >= SECONDS:
            await asyncio.sleep(0)
            self._begun = perf_counter()


class Turns:
    """``async with``: pieces of work that cannot be sliced and are short, one a turn of the loop.

    However many clients ask for one at the same moment, others are served between each two. The work must not
    await anything.
    """

    def __init__(self) -> None:
        self._taken = asyncio.Lock()

    async def __aenter__(self) -> None:
        await self._taken.acquire()

    async def __aexit__(self, *_exc: object) -> None:
        # The turn is over only when the loop has served others.
        asyncio.get_running_loop().call_soon(self._taken.release)
