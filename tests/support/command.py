"""The ``kaa-epr`` command as its users run it: a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from kaa_epr.embedded.process import ServerProcess

PROGRAM: Final = Path(sys.executable).with_name("kaa-epr")
READY: Final = re.compile(r'"event": "serving"')
HINTED: Final = re.compile("Ctrl-C stops everything")
"""The end of what ``serve --embedded`` prints once gets are answered."""
START_TIMEOUT: Final = 60.0


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without settings that the machine may carry, wide enough for texts to stay on their line."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("KAA_EPR", "NATS_"))}
    return {**kept, "COLUMNS": "200", "NO_COLOR": "1", **(more or {})}


def run(
    *arguments: str, env: Mapping[str, str] | None = None, stdin: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    done = subprocess.run(
        [PROGRAM, *arguments], env=environment(env), input=stdin, capture_output=True, cwd=cwd, check=False
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class Served:
    """``kaa-epr serve`` while it runs, its standard output and its log in one."""

    def __init__(
        self, arguments: Sequence[str], ready_file: Path, env: Mapping[str, str] | None = None
    ) -> None:
        ready_file.parent.mkdir(parents=True, exist_ok=True)
        self.ready_file = ready_file
        argv: list[str | Path] = [PROGRAM, "serve", *arguments, "--ready-file", ready_file]
        self.process = ServerProcess("kaa-epr", argv, ready_file.with_suffix(".log"), environment(env))
        self.process.start()

    def wait_ready(self, sign: re.Pattern[str] = READY) -> Self:
        """Returns once it says that gets are answered; fails with its last lines if it ends before."""
        self.process.wait_for(sign, START_TIMEOUT)
        return self

    @property
    def ready(self) -> dict[str, Any]:
        """What the ready file says."""
        said: dict[str, Any] = json.loads(self.ready_file.read_text())
        return said

    @property
    def env(self) -> dict[str, str]:
        """Leads other commands to its servers."""
        ready = self.ready
        return {"KAA_EPR__NATS__SERVERS": ready["nats"], "KAA_EPR__MONGO__URI": ready["mongo"]}

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end; the exit status."""
        self.process.signal(number)
        return self.process.wait()


def serve_embedded(directory: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Served:
    """A service with its own servers and data below ``directory``, once gets are answered."""
    given = ("--embedded", "--data-dir", str(directory / "data"), "--set", "management.port=0", *arguments)
    return Served(given, directory / "ready.json", env).wait_ready(HINTED)
