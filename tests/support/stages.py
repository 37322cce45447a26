"""An observer of the stages of batches, as tests use it: acts at a stage, and waits for one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable


class Stages:
    """Given to a register when it is made; ``at`` says what is to be done next time."""

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self._acts: dict[str, Callable[[], None]] = {}
        self._more = asyncio.Event()

    def __call__(self, stage: str) -> None:
        self.passed[stage] += 1
        self._more.set()
        act = self._acts.pop(stage, None)
        if act is not None:
            act()

    def at(self, stage: str, act: Callable[[], None]) -> None:
        """Does it once, when the next batch has ``stage`` behind it."""
        self._acts[stage] = act

    async def until(self, stage: str, count: int) -> None:
        """So many batches have passed it since the beginning."""
        async with asyncio.timeout(20):
            while self.passed[stage] < count:
                self._more.clear()
                await self._more.wait()
