"""Background work that a bug does not end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from kaa_epr.log import get_logger

_log: Final = get_logger(__name__)

PAUSE_SECONDS: Final = 5.0
"""After a bug, until the work begins anew."""


class Lasting:
    """One task. A bug in it is logged and told, and the work begins anew after a pause."""

    def __init__(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]], on_bug: Callable[[], None]
    ) -> None:
        """``work`` goes on for ever; ``on_bug`` puts its state into order."""
        self._name = name
        self._work = work
        self._on_bug = on_bug
        self._task: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._work(), name=self._name)
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Ends it, if it was begun."""
        if self._again is not None:
            self._again.cancel()
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        _log.error("background work met a bug, it begins anew", work=self._name, exc_info=error)
        self._on_bug()
        self._again = task.get_loop().call_later(PAUSE_SECONDS, self.start)
