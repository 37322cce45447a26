"""The entries of `tests/data/hostile`: what is sent, what must come back, and what must be stored then.

| member | meaning |
|---|---|
| `name` | what it is, unique in its file |
| `send` | the request; see `attack.py` for each kind |
| `given` | JSON text of the victim's metadata before, as gets print it; else `GIVEN` |
| `status` | of the answer: a number, several, or `4xx`; 0 stands for a connection closed unanswered |
| `says` | what the answer's message begins with |
| `then` | the metadata afterwards; else as given if the status is 400 or more, and `gone` means no endpoint |
| `times` | how often it is sent at the same time; every answer must be as described |

`{E}` in anything that is sent is the victim's ID, which has three characters too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.support.hostile.http import CLOSED
from tests.support.hostile.made import Description, made

DATA: Final = Path(__file__).parents[2] / "data" / "hostile"
OVER_REST: Final = ("rest_values", "rest_patches", "rest_paths", "rest_requests")
OVER_NATS: Final = ("nats_values", "nats_patches", "nats_batches", "nats_payloads")
REQUESTS: Final = (*OVER_REST, *OVER_NATS, "rest_large")
"""Files whose entries are requests of a running service."""
CANARY: Final = "kanari-12"
"""A value that is stored; no line of a log may hold it."""
GIVEN: Final = f'{{"room":"{CANARY}"}}'
_MEMBERS: Final = {"name", "send", "given", "status", "says", "then", "times"}
GONE: Final = "gone"


@dataclass(frozen=True)
class Entry:
    """One input."""

    file: str
    name: str
    send: Mapping[str, Any]
    status: tuple[int, ...]
    says: str = ""
    given: Description = GIVEN
    then: Description = None
    times: int = 1

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"

    @property
    def metadata(self) -> bytes:
        """Before, as JSON text."""
        return made(self.given)

    @property
    def expected(self) -> bytes | None:
        """The metadata afterwards; None: whatever they are."""
        if self.then is not None:
            return made(self.then)
        refused = all(status == CLOSED or status >= 400 for status in self.status)
        return self.metadata if refused else None


@cache
def corpus(file: str) -> tuple[Entry, ...]:
    """All entries of one file."""
    found = tuple(_entries(file))
    assert len({entry.name for entry in found}) == len(found), f"{file}: a name stands twice"
    return found


def _entries(file: str) -> Iterator[Entry]:
    for item in json.loads((DATA / f"{file}.json").read_text(encoding="utf-8")):
        unknown = item.keys() - _MEMBERS
        assert not unknown, f"{file}: {item['name']}: {unknown}"
        yield Entry(file, **item | {"status": _statuses(item["status"])})


def _statuses(given: int | str | list[int]) -> tuple[int, ...]:
    if given == "4xx":
        return tuple(range(400, 500))
    return tuple(given) if isinstance(given, list) else (int(given),)
