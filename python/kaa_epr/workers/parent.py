"""The parent of the workers: it answers nothing itself."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kaa_epr import log
from kaa_epr.config.reloading import take_over
from kaa_epr.config.settings import Settings
from kaa_epr.errors import KaaEprError
from kaa_epr.service import Fleet, ReadyInfo
from kaa_epr.workers.place import Owner, Place

_log = log.get_logger(__name__)

STOP_MARGIN: Final = 10.0
"""Seconds beyond ``service.drain_timeout`` after which a worker that has not ended is killed: it closes its
connections in less, and what the driver of MongoDB is left with ends by its own time limits."""


def run_workers(
    settings: Settings, on_ready: Callable[[ReadyInfo], None], reload: Callable[[], Settings]
) -> int:
    """Runs ``settings.workers`` workers until SIGTERM or SIGINT; 0 if all of them drained.

    ``on_ready`` is called once, when all answer gets. A worker that ends before it ever was ready ends all:
    what kept it from starting (a port in use) will keep the next one.
    """
    log.configure(settings.log.level, settings.log.format)
    return asyncio.run(_Parent(settings, on_ready, reload).run())


class _Parent:
    """The workers and what they have in common."""

    def __init__(
        self, settings: Settings, on_ready: Callable[[ReadyInfo], None], reload: Callable[[], Settings]
    ) -> None:
        self._settings = settings
        self._on_ready: Callable[[ReadyInfo], None] | None = on_ready
        self._reload = reload
        self._stopping = asyncio.Event()
        owner = Owner(lambda: self._settings, self._stopping, self._changed)
        self._places = [Place(owner, number) for number in range(settings.workers)]

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._hangup)
        lives = [loop.create_task(place.keep_alive()) for place in self._places]
        for life in lives:
            life.add_done_callback(self._life_ended)
        await self._stopping.wait()
        for place in self._places:
            place.terminate()
        await asyncio.wait(lives, timeout=self._settings.service.drain_timeout + STOP_MARGIN)
        for place in self._places:
            place.kill()
        codes = await asyncio.gather(*lives, return_exceptions=True)
        return 0 if not any(codes) else 1

    def _life_ended(self, life: asyncio.Task[int]) -> None:
        if not life.cancelled() and (error := life.exception()) is not None:
            # Better no fleet than half of one that nobody looks after.
            _log.error("a worker cannot be looked after any more, stopping all", exc_info=error)
            self._stopping.set()

    def _changed(self) -> None:
        missing = tuple(place.number for place in self._places if not place.serving)
        infos = [place.info for place in self._places]
        if self._on_ready is not None and infos[0] is not None and all(infos):
            self._on_ready(replace(infos[0], pid=os.getpid()))
            self._on_ready = None
        restarts = sum(place.restarts for place in self._places)
        fleet = Fleet(len(self._places), len(self._places) - len(missing), restarts, missing)
        for place in self._places:
            place.tell(fleet)

    def _hangup(self) -> None:
        try:
            wanted = self._reload()
        except KaaEprError as error:
            _log.error("reload refused, going on as before", error=str(error))
            return
        # A worker that is started again runs as the others do.
        self._settings = take_over(self._settings, wanted).settings
        log.set_level(self._settings.log.level)
        for place in self._places:
            place.tell(wanted)
