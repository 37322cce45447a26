"""Ending in order, within one time for all of it: every step comes, whatever became of those before.

A step that raises, or has no time left, is told of and does not keep the next ones. Shortly before the time
is up, what is still waited for is given up, so that what is left suffices to tell those who wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from kaa_epr.log import get_logger

_log: Final = get_logger(__name__)

TELLING_SECONDS: Final = 1.0
"""Before the end, for answers to what is given up; a quarter of all the time, where that is less."""
CLOSING_SECONDS: Final = 2.0
"""Each step has so long at least: when the time is up, connections are still closed."""


class Ending:
    """One end of one process; made when it begins."""

    def __init__(self, seconds: float) -> None:
        """``seconds``: until the last answer."""
        self._end = time.monotonic() + seconds
        self._telling = min(TELLING_SECONDS, seconds / 4)
        self.flaws: list[str] = []
        """The steps that failed, and what was given up."""

    @property
    def left(self) -> float:
        """Seconds until the last answer must be out."""
        return max(0.0, self._end - time.monotonic())

    @property
    def patience(self) -> float:
        """Seconds until what is waited for is given up."""
        return max(0.0, self.left - self._telling)

    async def step(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Does ``work``, within the time that is left or ``CLOSING_SECONDS``."""
        limited = asyncio.wait_for(work, max(self.left, CLOSING_SECONDS))
        (outcome,) = await asyncio.gather(limited, return_exceptions=True)
        if isinstance(outcome, BaseException):
            self.flaws.append(name)
            _log.error("a step of the end failed", step=name, kind=type(outcome).__name__, exc_info=outcome)

    async def steps(self, works: Mapping[str, Coroutine[Any, Any, None]]) -> None:
        """Several at once."""
        await asyncio.gather(*(self.step(name, work) for name, work in works.items()))

    def give_up(self, what: str, **facts: Any) -> None:
        """There was no time for it."""
        self.flaws.append(what)
        _log.warning("time is up", given_up=what, **facts)
