"""A run on its way: kept in a file after every scenario, so that what stops it costs one scenario."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.results import FORMAT, RESULTS

Content = dict[str, Any]
"""What is stored; ``bench/results.py`` reads it."""


class CannotResume(Exception):
    """A file that this run cannot go on from; the text says why."""


class Unfinished:
    """The content of a run, and the file that it is kept in until it is complete."""

    def __init__(self, path: Path, content: Content) -> None:
        self.path = path
        self.content = content

    @classmethod
    def begin(cls, work: Path, plan: Content, build_profile: str) -> Unfinished:
        """A new run with nothing measured; ``plan``: the options that say what is measured and how long."""
        started = datetime.now(UTC).isoformat(timespec="seconds")
        content: Content = {
            "format": FORMAT,
            "started": started,
            "commit": machine.commit(),
            "build_profile": build_profile,
            "machine": machine.machine(),
            **plan,
            "skipped": [],
            "failures": [],
            "scenarios": {},
        }
        stamp = started[:16].replace(":", "").replace("-", "")
        name = f"bench-{stamp}-{content['commit'].rstrip('+')}.json"
        return cls(work / "unfinished" / name, content)

    @classmethod
    def read(cls, path: Path, build_profile: str) -> Unfinished:
        """A run that was stopped. Raises CannotResume, also when what is here is not what was measured."""
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise CannotResume(f"{path} cannot be read: {error}") from None
        here = {"format": FORMAT, "commit": machine.commit(), "build_profile": build_profile}
        for name, value in here.items():
            if content.get(name) != value:
                raise CannotResume(f"{path} has {name} {content.get(name)!r}, here it is {value!r}")
        return cls(path, content)

    def measured(self, scenario: str) -> bool:
        """Whether it is in the file already."""
        return scenario in self.content["scenarios"]

    def add(self, scenario: str, described: Content, failures: list[str]) -> None:
        """One more scenario; the file is replaced as a whole or not at all."""
        self.content["scenarios"][scenario] = described
        self.content["failures"] += failures
        self._write(self.path)

    def finish(self, work: Path) -> Path:
        """Moves it to where it belongs: a partial or quick run stays out of the way of the complete ones."""
        directory = RESULTS if self.complete else work / "results"
        path = directory / self.path.name
        self._write(path)
        self.path.unlink(missing_ok=True)
        return path

    @property
    def complete(self) -> bool:
        """Whether everything was to be measured, in full length."""
        return not any(self.content[name] for name in ("quick", "scenario", "peer"))

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(self.content, indent=1) + "\n")
        new.replace(path)
