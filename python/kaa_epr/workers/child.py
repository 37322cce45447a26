"""The worker's process: it serves as one that runs alone does, and has a pipe to its parent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Final

from kaa_epr import log
from kaa_epr.config.settings import Settings
from kaa_epr.errors import KaaEprError
from kaa_epr.run import run_worker
from kaa_epr.service import Fleet, ReadyInfo
from kaa_epr.supervised import Supervisor
from kaa_epr.workers.pipes import BEAT, send

_log = log.get_logger(__name__)

BEAT_SECONDS: Final = 1.0
"""Between two beats; less, where a worker must be silent for less than four of them to be killed."""


def work(settings: Settings, number: int, pipe: Connection) -> None:
    """The target of the process; its exit status is that of the worker."""
    try:
        code = run_worker(settings, _Child(settings, pipe), number)
    except KaaEprError as error:
        _log.error("worker cannot run", error=str(error))
        code = 1
    sys.exit(code)


class _Child:
    """What the worker tells its parent and hears from it."""

    def __init__(self, settings: Settings, pipe: Connection) -> None:
        self._settings = settings
        self._pipe = pipe
        self._fleet = Fleet(settings.workers, settings.workers)

    def ready(self, info: ReadyInfo) -> None:
        """Gets are answered."""
        self._pipe.send(info)

    def settings(self) -> Settings:
        """As the parent sent them last."""
        return self._settings

    def fleet(self) -> Fleet:
        """As the parent sees it."""
        return self._fleet

    def attach(self, stop: Callable[[], None], reload: Callable[[], None], supervisor: Supervisor) -> None:
        """Begins to listen, and to beat."""
        loop = asyncio.get_running_loop()
        interval = min(BEAT_SECONDS, self._settings.service.worker_silence / 4 or BEAT_SECONDS)

        def heard() -> None:
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):
                loop.remove_reader(self._pipe.fileno())
                stop()
                return
            if isinstance(message, Fleet):
                self._fleet = message
            else:
                self._settings = message
                reload()

        async def beat() -> None:
            while True:
                try:
                    send(self._pipe, BEAT)
                except OSError as error:
                    _log.debug("the parent is gone", error=str(error))
                beats.well()
                await asyncio.sleep(interval)

        loop.add_reader(self._pipe.fileno(), heard)
        beats = supervisor.lasting("worker_beats", beat)
        beats.start()
