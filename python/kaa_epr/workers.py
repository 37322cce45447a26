"""Several workers of one queue group: processes, each with its own loop, cache and connections.

The parent answers nothing. It starts the workers, passes on SIGTERM and SIGINT (as SIGTERM) and SIGHUP (as
the settings it read), starts one that crashed again, and ends when all have drained. A worker whose parent is
gone drains and ends too: the pipe between them closes.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Final

from kaa_epr import log
from kaa_epr.backoff import jittered
from kaa_epr.config.reloading import take_over
from kaa_epr.config.settings import Settings
from kaa_epr.errors import KaaEprError
from kaa_epr.nats.options import wait_or
from kaa_epr.run import run_worker
from kaa_epr.service import ReadyInfo

_log = log.get_logger(__name__)

RESTART_WAIT: Final = 0.25
RESTART_WAIT_MAX: Final = 10.0
"""Seconds before a crashed worker is started again: doubling, with jitter."""
STEADY_SECONDS: Final = 30.0
"""A worker that lived so long begins at the shortest wait again."""
STOP_MARGIN: Final = 10.0
"""Seconds beyond ``service.drain_timeout`` after which a worker that has not ended is killed: it closes its
connections in less, and what the driver of MongoDB is left with ends by its own time limits."""

_CONTEXT: Final = multiprocessing.get_context("spawn")


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
        self.settings = settings
        self.stopping = asyncio.Event()
        self._on_ready: Callable[[ReadyInfo], None] | None = on_ready
        self._reload = reload
        self._workers = [_Worker(self, number) for number in range(settings.workers)]

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._hangup)
        lives = [loop.create_task(worker.keep_alive()) for worker in self._workers]
        await self.stopping.wait()
        for worker in self._workers:
            worker.terminate()
        await asyncio.wait(lives, timeout=self.settings.service.drain_timeout + STOP_MARGIN)
        for worker in self._workers:
            worker.kill()
        codes = await asyncio.gather(*lives)
        return 0 if not any(codes) else 1

    def worker_ready(self) -> None:
        """Tells of it when all are."""
        infos = [worker.info for worker in self._workers]
        if self._on_ready is not None and infos[0] is not None and all(infos):
            self._on_ready(replace(infos[0], pid=os.getpid()))
            self._on_ready = None

    def _hangup(self) -> None:
        try:
            wanted = self._reload()
        except KaaEprError as error:
            _log.error("reload refused, going on as before", error=str(error))
            return
        # A worker that is started again runs as the others do.
        self.settings = take_over(self.settings, wanted).settings
        log.set_level(self.settings.log.level)
        for worker in self._workers:
            worker.reload(wanted)


class _Worker:
    """One worker's place, whichever process is in it."""

    def __init__(self, parent: _Parent, number: int) -> None:
        self._parent = parent
        self._number = number
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._answering = False
        self.info: ReadyInfo | None = None
        """Once it has been ready."""

    async def keep_alive(self) -> int:
        """Starts it, again after every crash, until the parent stops; the exit code of the last process."""
        stopping, attempt = self._parent.stopping, 0
        while True:
            begun = time.monotonic()
            code = await self._live()
            if stopping.is_set():
                # One that SIGTERM met before it could hear it has taken no request.
                return code if self._answering else 0
            if self.info is None:
                _log.error("worker did not start, stopping all", worker=self._number, exit_code=code)
                stopping.set()
                return code or 1
            attempt = 1 if time.monotonic() - begun > STEADY_SECONDS else attempt + 1
            _log.error("worker ended by itself, starting it again", worker=self._number, exit_code=code)
            if await wait_or(stopping, jittered(RESTART_WAIT, RESTART_WAIT_MAX, attempt)):
                return 0

    async def _live(self) -> int:
        """One process from start to end; its exit code, negative for a signal."""
        loop = asyncio.get_running_loop()
        self._answering = False
        self._pipe, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(
            target=_work, args=(self._parent.settings, self._number, theirs), name=f"worker-{self._number}"
        )
        process.start()
        theirs.close()
        self._process = process
        ended = asyncio.Event()
        loop.add_reader(process.sentinel, ended.set)
        loop.add_reader(self._pipe.fileno(), self._heard, self._pipe)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(process.sentinel)
            loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
            self._pipe = None
        process.join()
        return process.exitcode or 0

    def _heard(self, pipe: Connection) -> None:
        try:
            self.info = pipe.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            return
        self._answering = True
        self._parent.worker_ready()

    def reload(self, settings: Settings) -> None:
        """Passes the settings on."""
        if self._pipe is not None:
            try:
                self._pipe.send(settings)
            except OSError as error:  # it just ended; the next process begins with them
                _log.debug("worker is gone", worker=self._number, error=str(error))

    def terminate(self) -> None:
        """Has it drain."""
        if self._process is not None and self._process.is_alive():
            self._process.terminate()

    def kill(self) -> None:
        """The last resort."""
        if self._process is not None and self._process.is_alive():
            _log.error("worker did not drain in time, killing it", worker=self._number)
            self._process.kill()


def _work(settings: Settings, number: int, pipe: Connection) -> None:
    """The worker's process."""
    try:
        code = run_worker(settings, _Child(settings, pipe), number)
    except KaaEprError as error:
        _log.error("worker cannot run", error=str(error))
        code = 1
    sys.exit(code)


class _Child:
    """The pipe to the parent, from the worker's side."""

    def __init__(self, settings: Settings, pipe: Connection) -> None:
        self._settings = settings
        self._pipe = pipe

    def ready(self, info: ReadyInfo) -> None:
        self._pipe.send(info)

    def settings(self) -> Settings:
        return self._settings

    def attach(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def heard() -> None:
            try:
                self._settings = self._pipe.recv()
            except (EOFError, OSError):
                loop.remove_reader(self._pipe.fileno())
                stop()
            else:
                reload()

        loop.add_reader(self._pipe.fileno(), heard)
