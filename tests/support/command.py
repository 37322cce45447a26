"""The ``kaa-epr`` command as its users run it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

PROGRAM: Final = Path(sys.executable).with_name("kaa-epr")
READY: Final = "Ctrl-C stops everything"
"""Printed by ``serve --embedded`` once gets are answered."""


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
    """``kaa-epr serve`` while it runs."""

    def __init__(
        self, arguments: Sequence[str], ready_file: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.ready_file = ready_file
        self.said: list[str] = []
        """Its standard output until it was ready."""
        self.log_file = ready_file.with_suffix(".log")
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", *arguments, "--ready-file", str(ready_file)],
                env=environment(env),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def wait_ready(self) -> Self:
        """Returns once an embedded service says that it serves; fails with its log if it ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if READY in line:
                return self
        raise AssertionError(f"ended with {self.process.wait()}: {self.log_file.read_text()}")

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

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.end()

    def end(self) -> int:
        """Waits for the end; the exit status."""
        assert self.process.stdout is not None
        self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait()


def serve_embedded(directory: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Served:
    """A service with its own servers and data below ``directory``, once gets are answered."""
    given = ("--embedded", "--data-dir", str(directory / "data"), "--set", "management.port=0", *arguments)
    return Served(given, directory / "ready.json", env).wait_ready()
