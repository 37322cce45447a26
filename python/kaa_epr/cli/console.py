"""Where the command line writes: results to standard output, everything for people to standard error."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console


def people() -> Console:
    """For progress and explanations. Made anew, since tests and pipes swap the stream."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def complain(text: str) -> None:
    """One error, with the program's name in front, never taken for markup."""
    people().print(f"kaa-epr: {text}", markup=False, style="red" if sys.stderr.isatty() else None)


def result(text: str) -> None:
    """One line or more of result."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def result_json(value: Any) -> None:
    """A result as indented JSON, in its own order, readable in any language."""
    result(json.dumps(value, indent=2, ensure_ascii=False))
