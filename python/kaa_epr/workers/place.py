"""One worker's place, whichever process is in it."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, NamedTuple

from kaa_epr import log
from kaa_epr.backoff import jittered
from kaa_epr.config.settings import Settings
from kaa_epr.nats.options import wait_or
from kaa_epr.service import ReadyInfo
from kaa_epr.supervised import Pauses
from kaa_epr.workers.child import work
from kaa_epr.workers.pipes import BEAT, send

_log = log.get_logger(__name__)

RESTART_PAUSES: Final = Pauses(0.25, 10.0)
"""Seconds before a worker that ended is started again: doubling, with jitter."""
STEADY_SECONDS: Final = 30.0
"""A worker that lived so long begins at the shortest pause again."""
START_SECONDS: Final = 60.0
"""Until its first beat a worker may be silent for so long: it is still being loaded."""
LEAVE_SECONDS: Final = 5.0
"""From SIGTERM to SIGKILL, for a worker that was silent."""

_CONTEXT: Final = multiprocessing.get_context("spawn")


class Owner(NamedTuple):
    """What a place needs of the parent."""

    settings: Callable[[], Settings]
    """With which the next process begins."""
    stopping: asyncio.Event
    changed: Callable[[], None]
    """Called when a worker began to serve, or ended."""


class Place:
    """Keeps one worker alive."""

    def __init__(self, owner: Owner, number: int) -> None:
        self.number = number
        self._owner = owner
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._heard = 0.0
        """When its loop was last known to turn, on the monotonic clock."""
        self.serving = False
        self.restarts = 0
        self.info: ReadyInfo | None = None
        """Once it has served."""

    async def keep_alive(self) -> int:
        """Starts it, again after every end, until the parent stops; the exit code of the last process."""
        stopping, attempt = self._owner.stopping, 0
        while True:
            begun = time.monotonic()
            code, had_served = await self._live()
            if stopping.is_set():
                # One that SIGTERM met before it could hear it has taken no request.
                return code if had_served else 0
            if self.info is None:
                _log.error("worker did not start, stopping all", worker=self.number, exit_code=code)
                stopping.set()
                return code or 1
            attempt = 1 if time.monotonic() - begun > STEADY_SECONDS else attempt + 1
            _log.error(
                "worker ended by itself, starting it again",
                worker=self.number,
                exit_code=code,
                attempt=attempt,
                had_served=had_served,
            )
            self.restarts += 1
            self._owner.changed()
            if await wait_or(stopping, jittered(*RESTART_PAUSES, attempt)):
                return 0

    async def _live(self) -> tuple[int, bool]:
        """One process from start to end: its exit code, negative for a signal, and whether it has served."""
        loop = asyncio.get_running_loop()
        self._pipe, theirs = _CONTEXT.Pipe()
        settings = self._owner.settings()
        process = _CONTEXT.Process(
            target=work, args=(settings, self.number, theirs), name=f"worker-{self.number}"
        )
        process.start()
        theirs.close()
        self._process = process
        self._heard = time.monotonic() + START_SECONDS
        ended = asyncio.Event()
        loop.add_reader(process.sentinel, ended.set)
        loop.add_reader(self._pipe.fileno(), self._hear, self._pipe)
        try:
            await self._until_ended(process, ended, settings.service.worker_silence)
        finally:
            loop.remove_reader(process.sentinel)
            loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
            self._pipe = None
            had_served, self.serving = self.serving, False
        process.join()
        return process.exitcode or 0, had_served

    async def _until_ended(self, process: BaseProcess, ended: asyncio.Event, silence: float) -> None:
        """Until the process has ended: by itself, or since it was silent for longer than ``silence``."""
        if not silence:
            await ended.wait()
            return
        interval = silence / 4
        looked = time.monotonic()
        while not await wait_or(ended, interval):
            now = time.monotonic()
            if now - looked > 2 * interval:
                # It is we who were held up, perhaps with the whole machine: what was sent is yet to be read.
                self._heard = max(self._heard, now)
            looked = now
            if now - self._heard > silence:
                _log.error("worker is silent, ending it", worker=self.number, seconds=round(silence, 1))
                process.terminate()
                if not await wait_or(ended, LEAVE_SECONDS):
                    process.kill()
                    await ended.wait()
                return

    def _hear(self, pipe: Connection) -> None:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            return
        self._heard = time.monotonic()
        if message != BEAT:
            self.info = message
            self.serving = True
            self._owner.changed()

    def tell(self, message: Any) -> None:
        """Passes settings or the state of the fleet on."""
        if self._pipe is None:
            return
        try:
            if not send(self._pipe, message):
                # So it is silent too, and the next process begins with what this one did not take.
                _log.error("worker does not read what it is told", worker=self.number)
        except OSError as error:
            _log.debug("worker is gone", worker=self.number, error=str(error))

    def terminate(self) -> None:
        """Has it drain."""
        if self._process is not None and self._process.is_alive():
            self._process.terminate()

    def kill(self) -> None:
        """The last resort."""
        if self._process is not None and self._process.is_alive():
            _log.error("worker did not drain in time, killing it", worker=self.number)
            self._process.kill()
