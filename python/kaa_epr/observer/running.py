"""An observer as a process: signals, its own management server, ready file, summary."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from kaa_epr import log
from kaa_epr.config.settings import Settings
from kaa_epr.management.app import create_app
from kaa_epr.management.health import Health, Phase
from kaa_epr.management.server import ManagementServer
from kaa_epr.metrics import TableMetrics
from kaa_epr.nats.options import unless
from kaa_epr.observer.counts import OBSERVER_TABLE
from kaa_epr.observer.observer import Observer, ObserverOptions

_log = log.get_logger(__name__)


async def run(
    settings: Settings, options: ObserverOptions, *, duration: float | None, ready_file: Path | None
) -> dict[str, Any]:
    """Observes until SIGTERM, SIGINT, the end of ``duration`` seconds or of ``options.count`` checks.

    Returns the summary. Raises KaaEprError for settings and addresses that cannot be used, OSError for
    unreadable certificates.
    """
    log.configure(settings.log.level, settings.log.format)
    observer = Observer(settings, options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, observer.done.set)
    began = loop.time()
    server = _management(settings, observer)
    await server.start()
    try:
        await observer.start()
        try:
            async with asyncio.timeout(duration):
                await unless(observer.done, _tell_ready(observer, server.url, ready_file))
                await observer.done.wait()
        except TimeoutError:
            _log.debug("the time is over")
    finally:
        await observer.stop()
        await server.stop()
    return {"seconds": round(loop.time() - began, 3), **observer.summary()}


def _management(settings: Settings, observer: Observer) -> ManagementServer:
    health = Health()
    health.phase = Phase.SERVING
    health.add("nats", lambda: None if observer.hearing.is_set() else "events are not heard", required=True)
    health.add("store", lambda: observer.store_failure, required=False)
    health.add("background work", observer.supervisor.problem, required=False)
    metrics = TableMetrics(OBSERVER_TABLE, observer.numbers)
    app = create_app(health, metrics.render, observer.summary)
    return ManagementServer(app, host=settings.management.host, port=settings.management.port)


async def _tell_ready(observer: Observer, url: str, ready_file: Path | None) -> None:
    await observer.hearing.wait()
    _log.info("observing", management=url)
    if ready_file is not None:
        partial = ready_file.with_name(f"{ready_file.name}.{os.getpid()}.partial")
        partial.write_text(json.dumps({"pid": os.getpid(), "management": url}) + "\n", encoding="utf-8")
        partial.replace(ready_file)
