"""Event + answer + what the store holds → a finding. Pure; nothing here keeps or shows a value.

An answer is called *older* only on proof: its version is below that of an event that was heard before the
get was sent. Versions only grow, so a further write cannot make that untrue. Where versions say nothing
(foreign events and documents, 404), the answer is compared with the store; what that can prove is in
``Finding``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from kaa_epr.observer.told import Told

_ETAG: Final = re.compile(r'"(-?[0-9]{1,19})"')
_DIGEST_BYTES: Final = 16

FOUND: Final = 200
UNKNOWN: Final = 404
UNUSABLE: Final = 500


@dataclass(frozen=True, slots=True)
class State:
    """What a get of an endpoint shows, values as a digest: two states are equal if the answers are."""

    status: int
    """200, 404, or 500 for a document that cannot be shown."""
    etag: str | None = None
    app_version: str | None = None
    digest: bytes = b""

    @property
    def version(self) -> int | None:
        """The number in the eTag."""
        match = _ETAG.fullmatch(self.etag or "")
        return None if match is None else int(match[1])


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds: what a get should show, and the version, which a tombstone has as well."""

    state: State
    version: int | None


def found(payload: bytes, etag: str | None, app_version: str | None) -> State:
    """The state of an endpoint that exists."""
    return State(FOUND, etag, app_version, hashlib.blake2b(payload, digest_size=_DIGEST_BYTES).digest())


class Finding(Enum):
    """What one answer shows."""

    FRESH = auto()
    """At least as new as the event."""
    OLDER = auto()
    """Proven: older than the event."""
    DIFFERS = auto()
    """The store says something else, and no version tells why. A write that was not told of yet would explain
    it, so this proves nothing unless it lasts while the store stays as it is and no event comes."""
    RACED = auto()
    """Somebody changed the endpoint since the event; whether this answer was right cannot be known."""
    BEHIND = auto()
    """The store is older than the event or the answer: an old primary, or a restored backup."""
    OPEN = auto()
    """Only the store could tell, and it cannot be asked."""


def judge(told: Told, answer: State, stored: Stored | None) -> Finding:
    """``stored`` was read after the answer came; None: it could not be read."""
    by_version = _by_version(told, answer)
    if stored is None:
        return by_version or Finding.OPEN
    if _below(stored.version, told.version) or _below(stored.version, answer.version):
        return Finding.BEHIND
    if by_version is Finding.OLDER:
        # Without a version in the store somebody else writes there, and versions prove nothing.
        return Finding.OLDER if stored.version is not None else Finding.DIFFERS
    if answer == stored.state:
        return Finding.FRESH
    if by_version is Finding.FRESH:
        return Finding.FRESH if _below(answer.version or told.version, stored.version) else Finding.DIFFERS
    if answer.status == UNKNOWN and told.version is not None and stored.version is not None:
        # Nobody wrote since the event, so it was not deleted in between either.
        return Finding.OLDER if stored.version == told.version else Finding.RACED
    return Finding.DIFFERS


def _by_version(told: Told, answer: State) -> Finding | None:
    """What event and answer say without the store; None: nothing."""
    if told.version is None:
        return None
    if answer.status == UNKNOWN:
        return Finding.FRESH if told.deleted else None
    if answer.version is None:
        return None
    least = told.version + 1 if told.deleted else told.version
    return Finding.OLDER if answer.version < least else Finding.FRESH


def _below(a: int | None, b: int | None) -> bool:
    return a is not None and b is not None and a < b
