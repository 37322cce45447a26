"""Conditional writes of the register: on the version, with the events in the same write.

An answer tells which statement failed, but not which one matched nothing. So every conditional update is an
upsert that cannot insert: where its condition does not hold, it fails with a code of its own. A document that
did not exist is made by one whose condition nothing fits; another document of the ID makes it a race. The
statements themselves are the planner's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pymongo import UpdateOne

from kaa_epr.mongo.api import WriteFailure

OUTBOX: Final = "outbox"
CLAIM: Final = "outbox_claim"

_CANNOT_INSERT: Final = {"_id": None}
"""In ``$setOnInsert``: an insertion would change the ``_id`` that the condition names, which is refused."""
_CLAIMED_AT: Final = {f"{CLAIM}.at": True}
"""The server's clock, not ours: replicas' clocks may differ."""

_IMMUTABLE_FIELD: Final = 66
_DUPLICATE_KEY: Final = 11_000
DOCUMENT_TOO_LARGE: Final = 10_334
_TOO_LARGE: Final = frozenset({DOCUMENT_TOO_LARGE, 17_419, 17_420})
_NOT_VALID: Final = 121


class Claim(NamedTuple):
    """Who publishes the events of an outbox."""

    owner: str
    """Replica."""
    id: str
    """Tells this claim from all others."""


def take_over(endpoint_id: str, seen_claim: Mapping[str, Any] | None, claim: Claim) -> UpdateOne:
    """Claims an outbox, if its claim is still the one that was seen; None: it had none."""
    # Whoever wrote it: as a whole and named as a value, nothing in it is taken for an operator or a pattern.
    unchanged = {"$exists": False} if seen_claim is None else {"$eq": seen_claim}
    condition = {"_id": endpoint_id, OUTBOX: {"$exists": True}, CLAIM: unchanged}
    changes = {
        "$set": {f"{CLAIM}.by": claim.owner, f"{CLAIM}.id": claim.id},
        "$currentDate": _CLAIMED_AT,
        "$setOnInsert": _CANNOT_INSERT,
    }
    return UpdateOne(condition, changes, upsert=True)


def is_race(failure: WriteFailure) -> bool:
    """Whether the document is not any more what the write was made for."""
    inserted_by_another = failure.code == _DUPLICATE_KEY and failure.index_fields == ("_id",)
    return failure.code == _IMMUTABLE_FIELD or inserted_by_another


def is_duplicate(failure: WriteFailure) -> bool:
    """Whether a unique index stands in the way."""
    return failure.code == _DUPLICATE_KEY


def is_taken_token(failure: WriteFailure) -> bool:
    """Whether the application has the token already."""
    return is_duplicate(failure) and "endpoint_token" in failure.index_fields


def is_too_large(failure: WriteFailure) -> bool:
    """Whether the document would exceed MongoDB's 16 MiB."""
    return failure.code in _TOO_LARGE


def is_not_valid(failure: WriteFailure) -> bool:
    """Whether the collection's validation rules refuse the document."""
    return failure.code == _NOT_VALID
