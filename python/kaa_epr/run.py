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
from kaa_epr.ending import Ending
from kaa_epr.nats.options import unless
from kaa_epr.service import Fleet, ReadyInfo, Service
from kaa_epr.supervised import Supervisor

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

    def fleet(self) -> Fleet:
        """The workers beside this one."""

    def attach(self, stop: Callable[[], None], reload: Callable[[], None], supervisor: Supervisor) -> None:
        """On the running loop: ``stop`` and ``reload`` may be called from now on, beside the signals."""


def run(
    settings: Settings,
    *,
    ready_file: Path | None = None,
    on_ready: OnReady | None = None,
    reload: Reload | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT, then drains; the exit code.

    0: all that was taken is done. 1: something was given up when ``service.drain_timeout`` was over, or a
    part could not be stopped in order. ``reload`` reads the settings again on SIGHUP. Raises KaaEprError for
    what cannot be started.
    """
    process = _Process(settings, ready_file, on_ready, reload)
    if settings.workers > 1:
        from kaa_epr.workers import run_workers

        return run_workers(settings, process.ready, process.settings)
    return run_worker(settings, process)


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

    def fleet(self) -> Fleet:
        return Fleet()

    def attach(self, stop: Callable[[], None], reload: Callable[[], None], supervisor: Supervisor) -> None:
        """Signals are all there is."""


def run_worker(settings: Settings, surroundings: Surroundings, worker: int = 0) -> int:
    """One worker in this process, until it is told to stop and has drained; its exit code, as ``run``'s."""
    log.configure(settings.log.level, settings.log.format, worker=worker)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, surroundings, worker))


async def _serve(settings: Settings, surroundings: Surroundings, worker: int) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    service = Service(settings, worker=worker, fleet=surroundings.fleet)
    hangup = Hangup(service, surroundings.settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hangup.request)
    surroundings.attach(stop.set, hangup.request, service.supervisor)
    try:
        await unless(stop, _start(service, surroundings))
        await stop.wait()
    finally:
        ending = Ending(settings.service.drain_timeout)
        # One that is under way first ends, since half of a reload loses requests; but not at any price.
        await ending.step("reload", hangup.stop(ending.patience / 2))
        clean = await service.drain(ending)
    return 0 if clean else 1


async def _start(service: Service, surroundings: Surroundings) -> None:
    """Until it serves; given up when it is to stop before."""
    await service.start()
    info = await service.wait_ready()
    # What start-up made stays: no full collection need walk it, for tens of milliseconds each time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    surroundings.ready(info)


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
            await self._service.reload(self._settings())
        except Exception as error:  # noqa: BLE001 the outermost boundary: the service goes on whatever it was
            _log.error("reload refused, going on as before", error=str(error), kind=type(error).__name__)

    async def stop(self, seconds: float) -> None:
        """No reload any more; one that is under way has ``seconds`` for its end."""
        self._again = False
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            self._task.cancel()
