"""Documents that no register writes, and what of each can be shown: data that tests walk through."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import bson
from bson import Binary, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument

ITEMS: Final = [{"key": "room", "value": "12"}]
WHOLE: Final[dict[str, Any]] = {
    "application": "app",
    "application_version": "app-v1",
    "version": Int64(3),
    "metadata": ITEMS,
    "created_at": datetime(2024, 5, 1, tzinfo=UTC),
}


class Bad(NamedTuple):
    """One document, as raw BSON where Python would not write it."""

    name: str
    document: Any
    listed: bool = True
    """Whether it is an endpoint at all."""
    problem: bool = True
    """Whether something that a list shows cannot be read."""
    get: int = 500
    """What a get of it is answered with."""


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def with_bytes(name: str, document: dict[str, Any], old: bytes, new: bytes) -> RawBSONDocument:
    """The document ``name`` with bytes that the encoder would not make."""
    raw = bson.encode({"_id": name, **document})
    assert raw.count(old) == 1
    assert len(old) == len(new)
    return RawBSONDocument(raw.replace(old, new))


def made(name: str, **fields: Any) -> Any:
    return {"_id": name, **WHOLE, **fields}


ODD_VALUES: Final = [
    {"key": "o", "value": ObjectId(b"x" * 12)},
    {"key": "d", "value": Decimal128("1.5")},
    {"key": "r", "value": Regex("a", "i")},
    {"key": "t", "value": Timestamp(1, 2)},
    {"key": "b", "value": Binary(b"x", 128)},
    {"key": "n", "value": float("nan")},
]
REFERENCE: Final = {"$ref": "a", "$id": 1}

UNUSABLE: Final = (
    Bad("version-number", made("version-number", application_version=5)),
    Bad("version-document", made("version-document", application_version={})),
    Bad("revision-text", made("revision-text", version="3")),
    Bad("revision-fraction", made("revision-fraction", version=1.5)),
    Bad("metadata-number", made("metadata-number", metadata=5)),
    Bad("metadata-text", made("metadata-text", metadata="x")),
    Bad("items-without-key", made("items-without-key", metadata=[{"value": 1}, *ITEMS])),
    Bad("items-of-other-key", made("items-of-other-key", metadata=[{"key": 5, "value": 1}])),
    Bad("items-no-documents", made("items-no-documents", metadata=[1, "x", None])),
    Bad("bad-utf8-value", with_bytes("bad-utf8-value", WHOLE, b"12\0", b"\xff\xfe\0")),
    Bad("bad-utf8-key", with_bytes("bad-utf8-key", WHOLE, b"room\0", b"r\xff\xffm\0")),
    Bad("bad-utf8-version", with_bytes("bad-utf8-version", WHOLE, b"app-v1\0", b"app-\xff\xff\0")),
)
"""What gets cannot be answered from."""
ODD: Final = (
    Bad("token-number", made("token-number", endpoint_token=5), get=200),
    Bad("dates-no-dates", made("dates-no-dates", created_at="x", metadata_updated_at=5), get=200),
    Bad("date-beyond", made("date-beyond", created_at=bson.DatetimeMS(2**60)), get=200),
)
"""What gets do not show need not be right for them."""
READABLE: Final = (
    Bad("application-document", made("application-document", application={}), problem=False, get=200),
    Bad("application-null", made("application-null", application=None), problem=False, get=200),
    Bad("deep", made("deep", metadata=[{"key": "a", "value": nested(120)}]), problem=False, get=200),
    Bad("bare", {"_id": "bare"}, problem=False, get=200),
    Bad("null", {"_id": "null", "metadata": None, "version": None}, problem=False, get=200),
    Bad("reference", made("reference", metadata=REFERENCE), problem=False, get=200),
    Bad("value", made("value", metadata=[{"key": "r", "value": REFERENCE}]), problem=False, get=200),
    Bad("odd-types", made("odd-types", metadata=ODD_VALUES), problem=False, get=200),
    Bad("twice", made("twice", metadata=ITEMS * 2), problem=False, get=200),
)
ABSENT: Final = (
    Bad("id-number", {"_id": 5, **WHOLE}, listed=False, get=404),
    Bad("id-document", {"_id": {"a": 1}, **WHOLE}, listed=False, get=404),
    Bad("id-object-id", {"_id": ObjectId(b"y" * 12), **WHOLE}, listed=False, get=404),
    Bad("tombstone-number", made("tombstone-number", deleted_at=5), listed=False, get=404),
)
BAD: Final = UNUSABLE + ODD + READABLE + ABSENT
