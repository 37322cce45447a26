"""The load generator of ``bench/load``: builds it, runs it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.scenarios import Dataset

ROOT: Final = Path(__file__).resolve().parents[1]
WRONG_ANSWERS: Final = 2
"""Exit code of a run whose report holds faults."""

RUN_SECONDS: Final = 300
"""No run takes so long; a responder that answers nothing would keep the filling of its cache going on."""


class GeneratorFailed(Exception):
    """The generator ended, or was ended, without a report."""


class Generator:
    """The built program."""

    def __init__(self, *, release: bool) -> None:
        self.profile = "release" if release else "dev"
        self._binary = _build(self.profile)

    def documents(self, dataset: Dataset) -> Iterator[dict[str, Any]]:
        """The Mongo documents of a dataset."""
        command = [self._binary, "generate", *dataset.options()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield json.loads(line)
        if process.returncode != 0:
            raise GeneratorFailed(f"generate ended with {process.returncode}")

    def run(self, options: list[str]) -> dict[str, Any]:
        """One run's report (``bench/load/src/report.rs``)."""
        command = [self._binary, "run", "--json", *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            raise GeneratorFailed(f"no report within {RUN_SECONDS} s") from None
        if done.returncode not in {0, WRONG_ANSWERS} or not done.stdout:
            raise GeneratorFailed(done.stderr.strip())
        report: dict[str, Any] = json.loads(done.stdout)
        return report


def _build(profile: str) -> str:
    """The path of the binary, wherever cargo's settings put it."""
    command = ["cargo", "build", "--profile", profile, "-p", "kaa-epr-load"]
    command += ["--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return next(str(path) for message in messages if (path := message.get("executable")))
