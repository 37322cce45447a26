"""Running a worker as a process: event loop, signals, ready file, exit code."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import uvloop

from kaa_epr import log
from kaa_epr.config.settings import Settings
from kaa_epr.nats.link import RELOAD_SECONDS
from kaa_epr.service import ReadyInfo, Service

_log = log.get_logger(__name__)

GC_THRESHOLDS: Final = (10_000, 20, 20)
"""Batches of writes make many objects that live for some milliseconds. With Python's own thresholds, of which
the first is 700, looking through them for cycles takes several percent of a busy register's time."""

OnReady = Callable[[ReadyInfo], None]
Reload = Callable[[], Settings]


class Surroundings(Protocol):
    """What a worker tells to and hears from whoever runs it."""

    def ready(self, info: ReadyInfo) -> None:
        """Gets are answered."""

    def settings(self) -> Settings:
        """As they are now, for a reload. Raises KaaEprError when they are wrong."""

    def attach(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """On the running loop: ``stop`` and ``reload`` may be called from now on, beside the signals."""


def run(
    settings: Settings,
    *,
    ready_file: Path | None = None,
    on_ready: OnReady | None = None,
    reload: Reload | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT, then drains; the exit code, 0 after a clean stop.

    ``reload`` reads the settings again on SIGHUP: certificates, credentials and the log level take effect.
    Raises KaaEprError for what cannot be started.
    """
    process = _Process(settings, ready_file, on_ready, reload)
    if settings.workers > 1:
        from kaa_epr.workers import run_workers

        return run_workers(settings, process.ready, process.settings)
    run_worker(settings, process)
    return 0


class _Process:
    """The only worker is the process itself."""

    def __init__(
        self, settings: Settings, ready_file: Path | None, on_ready: OnReady | None, reload: Reload | None
    ) -> None:
        self._settings = settings
        self._ready_file = ready_file
        self._on_ready = on_ready
        self._reload = reload

    def ready(self, info: ReadyInfo) -> None:
        if self._ready_file is not None:
            info.write(self._ready_file)
        if self._on_ready is not None:
            self._on_ready(info)

    def settings(self) -> Settings:
        return self._settings if self._reload is None else self._reload()

    def attach(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """Signals are all there is."""


def run_worker(settings: Settings, surroundings: Surroundings, worker: int = 0) -> None:
    """One worker in this process, until it is told to stop and has drained."""
    log.configure(settings.log.level, settings.log.format, worker=worker)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, surroundings, worker))


async def _serve(settings: Settings, surroundings: Surroundings, worker: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    service = Service(settings, worker=worker)
    hangup = Hangup(service, surroundings.settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hangup.request)
    surroundings.attach(stop.set, hangup.request)
    await service.start()
    try:
        ready = loop.create_task(service.wait_ready())
        stopped = loop.create_task(stop.wait())
        await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            # What start-up made stays: no full collection need walk it, for tens of milliseconds each time.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            surroundings.ready(ready.result())
        ready.cancel()
        await stopped
    finally:
        await hangup.stop()
        await service.drain()


class Hangup:
    """SIGHUP: one reload at a time; one asked for meanwhile runs after it."""

    def __init__(self, service: Service, settings: Reload) -> None:
        self._service = service
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def request(self) -> None:
        """The signal handler."""
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        again = True
        while again:
            self._again = False
            await self._once()
            again = self._again

    async def _once(self) -> None:
        try:
            settings = self._settings()
            await self._service.reload(settings)
            log.set_level(settings.log.level)
        except Exception as error:  # noqa: BLE001 the outermost boundary: the service goes on whatever it was
            _log.error("reload refused, going on as before", error=str(error), kind=type(error).__name__)

    async def stop(self) -> None:
        """No reload any more; one that is under way first ends, since half of one loses requests."""
        self._again = False
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=RELOAD_SECONDS)
            self._task.cancel()
