"""Where an import stands: a small file beside the imported one, replaced after each acknowledged batch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final

from kaa_epr.mongo.errors import StoreError

_FORMAT: Final = 1
_SAMPLE: Final = 64 * 1024
"""Bytes at the start of the file, and before the resume point, that must be as they were."""


class StateUnusable(StoreError):
    """The state file is there, but not one of ours."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def message(self) -> str:
        """Which file, and what to do."""
        return f"{self.path} does not hold the state of an import; move it away and start again"


@dataclass(frozen=True, slots=True)
class Position:
    """How far an import came, and what it counted up to there."""

    offset: int = 0
    lines: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    bad: int = 0


def default_state_path(source: Path) -> Path:
    """``FILE.import-state`` beside ``FILE``."""
    return source.with_name(source.name + ".import-state")


def load_position(path: Path, file: BinaryIO, target: str) -> Position:
    """Where to go on: the saved position if file and target are still the same, else the start.

    Raises ``StateUnusable`` for a state file that is not ours. Leaves ``file`` at the position.
    """
    position = _read(path, file, target) if path.exists() else Position()
    file.seek(position.offset)
    return position


def save_position(path: Path, position: Position, file: BinaryIO, target: str) -> None:
    """Replaces the state file as a whole, so that a kill leaves the old or the new one."""
    state = {
        "format": _FORMAT,
        "target": target,
        "fingerprint": fingerprint(file, position.offset),
        "position": asdict(position),
    }
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w") as out:
        json.dump(state, out)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def fingerprint(file: BinaryIO, offset: int) -> str:
    """Of what was read already, start and end; what is appended later changes nothing. Keeps the position."""
    before = file.tell()
    file.seek(0)
    digest = hashlib.sha256(file.read(min(_SAMPLE, offset)))
    file.seek(max(0, offset - _SAMPLE))
    digest.update(file.read(min(_SAMPLE, offset)))
    file.seek(before)
    return digest.hexdigest()


def _read(path: Path, file: BinaryIO, target: str) -> Position:
    try:
        state = json.loads(path.read_text())
        position = Position(**state["position"])
        same_file = state["fingerprint"] == fingerprint(file, position.offset)
        same_target = state["target"] == target and state["format"] == _FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise StateUnusable(str(path)) from error
    if not _sound(asdict(position)):
        raise StateUnusable(str(path))
    return position if same_file and same_target else Position()


def _sound(numbers: Mapping[str, object]) -> bool:
    return all(type(number) is int and number >= 0 for number in numbers.values())
