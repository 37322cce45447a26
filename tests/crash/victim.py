"""A service that kills itself with SIGKILL when a batch has passed a stage for the n-th time.

Arguments: settings as JSON, stage, n. Prints the REST address when it is ready.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop

from kaa_epr import log
from kaa_epr.config.settings import Settings
from kaa_epr.service import Service


async def main(settings: Settings, stage: str, count: int) -> None:
    passed = 0

    def on_stage(name: str) -> None:
        nonlocal passed
        passed += name == stage
        if passed == count:
            os.kill(os.getpid(), signal.SIGKILL)

    service = Service(settings, on_stage=on_stage)
    assert service.register is not None
    await service.start()
    await service.wait_ready()
    sys.stdout.write(f"{service.register.url}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    log.configure()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Settings.model_validate_json(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
