"""How long the event loop makes others wait: heartbeats, gets that are cached, health checks.

A timer asks for its turn again and again and looks how late it comes. Whatever keeps the loop for longer than
``interval`` is seen, all but the part of it that lies before the timer is due.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from kaa_epr.log import get_logger

_log = get_logger(__name__)

Observe = Callable[[float, float], None]
"""Told of each look: the delay and, of it, the time that this process held the loop; in seconds."""


class Bounds(Protocol):
    """The settings; in seconds."""

    @property
    def loop_interval(self) -> float:
        """Between two looks; 0: there are none."""

    @property
    def loop_warning(self) -> float:
        """A delay that is logged."""


class LoopWatch:
    """Looks from ``start`` to ``stop``, on the running loop."""

    def __init__(self, bounds: Bounds, observe: Observe) -> None:
        self._interval = bounds.loop_interval
        self._loud = bounds.loop_warning
        self._observe = observe
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._spent = 0.0

    def start(self) -> None:
        """Begins."""
        if self._interval:
            self._wait()

    def stop(self) -> None:
        """Ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._spent = time.process_time()
        self._due = time.monotonic() + self._interval
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    def _look(self) -> None:
        delay = max(0.0, time.monotonic() - self._due)
        # All threads count: one that holds the interpreter's lock holds the loop too. A delay beyond what the
        # process computed meanwhile is the machine's: others had its processors.
        held = min(delay, time.process_time() - self._spent)
        self._observe(delay, held)
        if delay >= self._loud:
            _log.warning("the event loop was late", delay_seconds=delay, held_seconds=held)
        self._wait()
