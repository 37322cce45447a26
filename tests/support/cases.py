"""Tables of cases that several tests walk through: both engines, REST, NATS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).resolve().parents[1] / "data"


def cases(file: str) -> list[dict[str, Any]]:
    """The cases of ``tests/data/<file>.json``, whose names are unique."""
    table: list[dict[str, Any]] = json.loads((DATA / f"{file}.json").read_text(encoding="utf-8"))
    assert len({case["name"] for case in table}) == len(table)
    return table


def text_of(case: dict[str, Any]) -> bytes:
    """The text of a case: as it is, in hexadecimal, or as parts that are repeated."""
    if "hex" in case:
        return bytes.fromhex(case["hex"])
    if "parts" in case:
        return "".join(part * times for part, times in case["parts"]).encode()
    return str(case["text"]).encode()
