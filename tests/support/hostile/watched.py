"""A real service whose event loop, log and heartbeats are watched while it is attacked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from tests.support.command import START_TIMEOUT, Served

BOUND: Final = 0.02
"""Seconds for which nothing may hold the loop."""
LOUD: Final = 0.005
"""Delays of the loop, in seconds, that its log tells of."""
_SETTINGS: Final[Mapping[str, Any]] = {
    "management": {"port": 0, "loop_interval": 0.001, "loop_warning": LOUD},
    "register": {
        "enabled": True,
        "security": {"enabled": False},
        "rest": {"port": 0},
        "restricted_keys": {"*": ["locked"]},
    },
    "engine": "rust",
}


_SERVING: Final = re.compile(r'.*"event": "serving".*')


class Delay(NamedTuple):
    """The loop came late, by its own account; in seconds."""

    delay: float
    held: float
    """Of it, what the process computed meanwhile."""


class Watched:
    """The running command."""

    def __init__(self, served: Served, config: Path, instance: str, database: str) -> None:
        self._served = served
        self._log = served.process.log_file
        self._read = 0
        self.config = config
        """Its file of settings; for other commands too."""
        self.instance = instance
        self.database = database
        said = json.loads(served.process.wait_for(_SERVING, START_TIMEOUT)[0])
        self.rest = str(said["rest"])
        """The REST interface's address."""
        self.management = str(said["management"])
        """The management server's address."""
        self.pid = int(said["pid"])

    def told(self) -> list[dict[str, Any]]:
        """What it logged since the last time it was asked."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            fresh = log.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read += len(whole)
        return [_parsed(line) for line in whole.splitlines()]

    def end(self) -> int:
        """Stops it as an operator does; the exit status."""
        return self._served.end()


def delays(lines: list[dict[str, Any]]) -> list[Delay]:
    """Those that the log tells of."""
    late = [line for line in lines if line["event"] == "the event loop was late"]
    return [Delay(line["delay_seconds"], line["held_seconds"]) for line in late]


def longest(lines: list[dict[str, Any]]) -> float:
    """Seconds that the loop was held at a time, as far as the log tells."""
    return max((each.held for each in delays(lines)), default=0.0)


def complaints(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bugs, whoever caught them."""
    return [line for line in lines if line.get("level") in ("error", "critical") or "exception" in line]


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError:
        # A traceback that went past the log.
        return {"level": "error", "event": line.decode(errors="replace")}
    return content if isinstance(content, dict) else {"event": content}


@contextmanager
def watched(
    directory: Path, nats_url: str, mongo_uri: str, instance: str, database: str, **groups: Any
) -> Iterator[Watched]:
    """A service with the register on, without tokens; ``groups`` go over its settings."""
    settings = {
        "service": {"instance_name": instance},
        "nats": {"servers": [nats_url]},
        "mongo": {"uri": mongo_uri, "database": database},
        **_SETTINGS,
        **groups,
    }
    config = directory / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    served = Served(["--config", str(config)], directory / "ready.json")
    try:
        running = Watched(served, config, instance, database)
        yield running
        assert running.end() == 0
    finally:
        served.process.kill()
