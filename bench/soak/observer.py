"""``kaa-epr observe`` beside the soak: asks right after each event it hears, and counts what was stale."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any, Final

from bench.soak.fleet import DATABASE, INSTANCE, Fleet
from tests.support.command import PROGRAM, environment
from tests.support.waiting import until

CHECKS_PER_SECOND: Final = 100
END_SECONDS: Final = 60.0


class Observer:
    """The process, from ``start`` to ``stop``."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._summary = fleet.directory / "observer.summary.json"
        self._ready = fleet.directory / "observer.ready.json"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns once it hears events."""
        config = self._fleet.directory / "observer.yaml"
        config.write_text(json.dumps(self._settings()))
        self._ready.unlink(missing_ok=True)
        command: list[str | Path] = [PROGRAM, "observe", "--config", config, "--ready-file", self._ready]
        command += ["--json", "--port", "0", "--delay", "0", "--max-per-second", str(CHECKS_PER_SECOND)]
        with self._summary.open("wb") as out, (self._fleet.directory / "observer.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, env=environment(), stdout=out, stderr=log
            )
        await until(self._ready.exists, "the observer hears events", END_SECONDS)

    async def stop(self) -> dict[str, Any]:
        """Its counts. Raises AssertionError if it had ended by itself."""
        assert self._process is not None
        assert self._process.returncode is None, "the observer ended"
        self._process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self._process.wait(), END_SECONDS)
        return of_summary(json.loads(self._summary.read_text()))

    def kill(self) -> None:
        """When all has gone wrong."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def _settings(self) -> dict[str, Any]:
        return {
            "service": {"instance_name": INSTANCE},
            "nats": {"servers": self._fleet.nats.urls},
            "mongo": {"uri": self._fleet.mongo.uri, "database": DATABASE},
        }


def of_summary(summary: dict[str, Any]) -> dict[str, Any]:
    """What the report keeps of the observer's own."""
    stale: dict[str, int] = summary["staleLongerThan"]
    return {
        "asked": summary["questions"],
        "checked": summary["checked"],
        "stale": {limit: stale[limit] for limit in ("1", "10", "60")},
        "worst_seconds": summary["worstStalenessSeconds"],
        "verdicts": summary["verdicts"],
        "skipped": summary["skipped"],
    }
