"""The registers measured beside each other: ours, ours as it was at a commit, the obvious one."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.contenders import PEERS, READY_SECONDS, ContenderFailed, Skipped, serve, stop
from bench.generator import ROOT
from bench.servers import DATABASE, Servers

OURS: Final = "ours"
OURS_PYMONGO: Final = "ours-pymongo"
BEFORE: Final = "before"
OBVIOUS: Final = "obvious"
BEFORE_COMMIT: Final = "bb310dd"
"""Ours before the core planned writes, before httptools, and before documents were remembered."""


@dataclass(frozen=True, slots=True)
class Register:
    """How to start one."""

    name: str
    title: str
    python: str = sys.executable
    """The interpreter of the environment that it is installed in."""
    settings: dict[str, Any] = field(default_factory=dict)
    script: Path | None = None
    """A peer's program; None: it is ours."""

    @contextmanager
    def running(
        self, name: str, settings: dict[str, Any], servers: Servers, work: Path
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Its process ID and what it told when it was ready, such as its URL under ``rest``."""
        with (work / f"{name}.log").open("ab") as log:
            if self.script is None:
                process = serve(name, _merged(settings, self.settings), work, log, self.python)
                told = json.loads((work / f"{name}.ready").read_text())
            else:
                process, told = self._start_peer(name, settings, servers, log)
            try:
                yield process.pid, told
            finally:
                stop(process)

    def _start_peer(
        self, name: str, settings: dict[str, Any], servers: Servers, log: Any
    ) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        environment = os.environ | {
            "NATS_URL": servers.nats.url,
            "INSTANCE": name,
            "MONGO_URI": servers.mongo.uri,
            "MONGO_DATABASE": DATABASE,
            "MONGO_COLLECTION": settings["mongo"]["collection"],
        }
        process = subprocess.Popen(
            [self.python, str(self.script)], env=environment, stdout=subprocess.PIPE, stderr=log
        )
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], READY_SECONDS)
        line = process.stdout.readline() if readable else b""
        if not line.startswith(b"{"):
            stop(process)
            raise ContenderFailed(f"{self.name} did not become ready, see {log.name}")
        return process, json.loads(line)


def _merged(settings: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = dict(settings)
    for group, values in more.items():
        merged[group] = merged.get(group, {}) | values
    return merged


def register(name: str, work: Path) -> Register:
    """Finds one, and builds it if need be. Raises Skipped."""
    if name == BEFORE:
        return Register(name, f"ours at {BEFORE_COMMIT}", _built(BEFORE_COMMIT, work / "before"))
    if name == OBVIOUS:
        script = PEERS / "register-obvious" / "main.py"
        return Register(name, "Starlette, uvicorn, PyMongo, no outbox", script=script)
    if name == OURS_PYMONGO:
        return Register(name, "ours, mongo.driver: pymongo", settings={"mongo": {"driver": "pymongo"}})
    return Register(name, "ours")


def _built(commit: str, directory: Path) -> str:
    """The interpreter of an environment with that commit in it; built once, in a worktree of its own."""
    known = subprocess.run(
        ["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True, check=False
    )
    if known.returncode != 0:
        raise Skipped(f"the commit {commit} is not in this clone")
    if not directory.exists():
        subprocess.run(["git", "worktree", "prune"], cwd=ROOT, check=True)
        subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", "--force", str(directory), commit],
            cwd=ROOT,
            check=True,
        )
    subprocess.run(["make", "--quiet", "build"], cwd=directory, stdout=subprocess.DEVNULL, check=True)
    return str(directory / ".venv" / "bin" / "python")
