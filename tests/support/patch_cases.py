"""Cases of JSON Patch as data: what a patch makes of a document, or why it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple


class PatchCase(NamedTuple):
    """``made``: the metadata afterwards, keys in their order; else status and text of the refusal."""

    about: str
    document: dict[str, Any]
    patch: Any
    made: dict[str, Any] | None = None
    status: int = 200
    text: str = ""


CASES: Final = [
    PatchCase(**case)
    for case in json.loads((Path(__file__).parents[1] / "data" / "json_patch_cases.json").read_text())
]
