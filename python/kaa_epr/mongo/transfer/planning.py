"""What to write so that the store holds what the lines say, and nothing more.

MongoDB's own comparison takes 27 and 27.0 for equal, so documents are compared here, byte by byte, and
written under the condition that their version is still the one compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import bson
from bson import CodecOptions, Int64
from bson.errors import BSONError
from pymongo import InsertOne, UpdateOne

from kaa_epr.mongo.api import Write, WriteFailure
from kaa_epr.mongo.documents import Endpoint, new_document
from kaa_epr.mongo.extjson import EXACT

DUPLICATE_KEY: Final = 11_000
_TYPE_MISMATCH: Final = 14
_TOO_LARGE: Final = 10_334
_NOT_VALID: Final = 121
_LENIENT: Final[CodecOptions[dict[str, Any]]] = EXACT.with_options(unicode_decode_error_handler="replace")
_NAMES: Final = ("application", "application_version", "endpoint_token")


class Planned(NamedTuple):
    """One endpoint's write."""

    endpoint: Endpoint
    write: Write
    creates: bool


def plan(endpoint: Endpoint, stored: bytes | None, now: datetime) -> Planned | None:
    """The write that makes ``stored`` say what ``endpoint`` says; None if it does already."""
    if stored is None:
        return Planned(endpoint, InsertOne(new_document(endpoint, now)), creates=True)
    content = _content(stored)
    change = _change(endpoint, content, now)
    if change is None:
        return None
    condition = {"_id": endpoint.id, "version": content.get("version", {"$exists": False})}
    return Planned(endpoint, UpdateOne(condition, change), creates=False)


def _change(endpoint: Endpoint, content: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    revived = content.get("deleted_at") is not None
    wanted = endpoint.names()
    changed = {name for name in _NAMES if content.get(name) != wanted.get(name)}
    new_metadata = _bytes(content.get("metadata")) != _bytes(endpoint.items())
    if not (revived or changed or new_metadata):
        return None
    set_: dict[str, Any] = {name: wanted[name] for name in changed if name in wanted}
    unset: dict[str, Any] = {name: "" for name in changed if name not in wanted}
    if new_metadata or revived:
        set_ |= {"metadata": endpoint.items(), "metadata_updated_at": now}
    if "application_version" in set_:
        set_["app_version_registered_at"] = now
    if revived:
        set_["created_at"] = now
        unset["deleted_at"] = ""
    # A tombstone goes on from its version too: $inc never lowers it, and begins at 1 where there is none.
    change: dict[str, Any] = {"$inc": {"version": Int64(1)}}
    if set_:
        change["$set"] = set_
    if unset:
        change["$unset"] = unset
    return change


def reason_of(failure: WriteFailure) -> str:
    """Why the server refused a line's write, without its text, which may quote values."""
    if failure.code == DUPLICATE_KEY and "endpoint_token" in failure.index_fields:
        return "endpointToken: another endpoint of the application has it"
    if failure.code == DUPLICATE_KEY:
        return f"another document has the same {', '.join(failure.index_fields) or 'unique field'}"
    if failure.code == _TYPE_MISMATCH:
        return "the stored document's version is not a number"
    if failure.code == _TOO_LARGE:
        return "the document would grow beyond MongoDB's limit of 16 MiB"
    if failure.code == _NOT_VALID:
        return "the collection's validation rules refuse the document"
    return f"the server refused it with code {failure.code}"


def is_race(failure: WriteFailure) -> bool:
    """Whether somebody else created the same endpoint meanwhile; to be compared again."""
    return failure.code == DUPLICATE_KEY and failure.index_fields == ("_id",)


def _content(stored: bytes) -> dict[str, Any]:
    try:
        return bson.decode(stored, EXACT)
    except BSONError:
        # Invalid UTF-8: readers refuse the document. Nothing equals it, so it is replaced.
        return bson.decode(stored, _LENIENT) | {"metadata": None}


def _bytes(value: Any) -> bytes:
    return bson.encode({"": value})
