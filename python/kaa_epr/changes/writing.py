"""The document writes of the register: conditional on the version, with the events in the same write.

A bulk write tells which statement failed, but not which one matched nothing. So every conditional update is
an upsert that cannot insert: where its condition does not hold, it fails with a code of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bson import Int64
from pymongo import UpdateMany, UpdateOne

from kaa_epr.changes.errors import Invalid, Refusal, Taken, TooLarge, Unavailable
from kaa_epr.changes.state import CLAIM, OUTBOX, EndpointState, update_between
from kaa_epr.events.outgoing import OutgoingEvent
from kaa_epr.store.api import WriteFailure

_CANNOT_INSERT: Final = {"_id": None}
"""In ``$setOnInsert``: an insertion would change the ``_id`` that the condition names, which is refused."""
_NO_VERSION: Final = Int64(-1)
"""Of no document; the condition of an insertion must match nothing."""
_CLAIMED_AT: Final = {f"{CLAIM}.at": True}
"""The server's clock, not ours: replicas' clocks may differ."""

_IMMUTABLE_FIELD: Final = 66
_DUPLICATE_KEY: Final = 11_000
_TOO_LARGE: Final = frozenset({10_334, 17_419, 17_420})
_NOT_VALID: Final = 121


def change(
    old: EndpointState, new: EndpointState, events: Sequence[OutgoingEvent], owner: str, claim_id: str
) -> UpdateOne:
    """Makes ``old`` into ``new`` with ``events`` in its outbox, if ``old`` is still what is stored."""
    set_, unset = update_between(old, new)
    set_ |= {
        OUTBOX: [event.stored() for event in events],
        f"{CLAIM}.by": owner,
        f"{CLAIM}.id": claim_id,
    }
    update: dict[str, Any] = {"$set": set_, "$currentDate": _CLAIMED_AT}
    if not old.exists:
        return UpdateOne({"_id": old.id, "version": _NO_VERSION}, update, upsert=True)
    if unset:
        update["$unset"] = unset
    condition = {"_id": old.id, "version": old.stored_version, OUTBOX: {"$exists": False}}
    return UpdateOne(condition, update | {"$setOnInsert": _CANNOT_INSERT}, upsert=True)


def take_over(endpoint_id: str, seen_claim: str | None, owner: str, claim_id: str) -> UpdateOne:
    """Claims an outbox, if its claim is still the one that was seen."""
    condition = {"_id": endpoint_id, OUTBOX: {"$exists": True}, f"{CLAIM}.id": seen_claim}
    update = {
        "$set": {f"{CLAIM}.by": owner, f"{CLAIM}.id": claim_id},
        "$currentDate": _CLAIMED_AT,
        "$setOnInsert": _CANNOT_INSERT,
    }
    return UpdateOne(condition, update, upsert=True)


def clear(endpoint_ids: Sequence[str], claim_id: str) -> UpdateMany:
    """Empties the outboxes that were published under ``claim_id``, unless somebody took them over."""
    condition = {"_id": {"$in": list(endpoint_ids)}, f"{CLAIM}.id": claim_id}
    return UpdateMany(condition, {"$unset": {OUTBOX: "", CLAIM: ""}})


def is_race(failure: WriteFailure) -> bool:
    """Whether the document is not any more what the write was made for."""
    inserted_by_another = failure.code == _DUPLICATE_KEY and failure.index_fields == ("_id",)
    return failure.code == _IMMUTABLE_FIELD or inserted_by_another


def is_taken_token(failure: WriteFailure) -> bool:
    """Whether the application has the token already."""
    return failure.code == _DUPLICATE_KEY and "endpoint_token" in failure.index_fields


def refusal(failure: WriteFailure) -> Refusal:
    """Why the server refused a write that was no race. Its own text may quote values, so it is not used."""
    if is_taken_token(failure):
        return Taken("endpointToken", "another endpoint of the application has it")
    if failure.code == _DUPLICATE_KEY:
        return Taken("endpoint", f"another document has the same {', '.join(failure.index_fields)}")
    if failure.code in _TOO_LARGE:
        return TooLarge("metadata", "the document would grow beyond MongoDB's limit of 16 MiB")
    if failure.code == _NOT_VALID:
        return Invalid("endpoint", "the collection's validation rules refuse it")
    return Unavailable(f"The endpoint store refused the write with code {failure.code}")
