"""What others may have left in the place of a claim on an outbox: data that tests walk through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import bson
from bson import Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument

LONG_AGO: Final = datetime.now(UTC) - timedelta(hours=1)
CLAIM: Final = {"by": "dead", "id": "x", "at": LONG_AGO}
"""As a register leaves it."""
_UNDECODABLE: Final = RawBSONDocument(bson.encode({**CLAIM, "id": "QQ"}).replace(b"QQ", b"\xff\xfe"))

NO_DOCUMENTS: Final[dict[str, Any]] = {
    "null": None,
    "number": 5,
    "text": "x",
    "date": LONG_AGO,
    "pattern": Regex("a("),
    "identifier": ObjectId(),
    "bytes": b"x",
    "code": Code("f()", {"a": 1}),
    "smallest": MinKey(),
    "largest": MaxKey(),
    "empty-array": [],
    "array": [1],
    "array-of-claims": [CLAIM],
    "array-of-claims-ahead": [{**CLAIM, "at": datetime(2999, 1, 1, tzinfo=UTC)}],
}
WITHOUT_ID: Final[dict[str, Any]] = {
    "empty": {},
    "reference": {"$ref": "a", "$id": 1},
    "id-missing": {"by": "dead", "at": LONG_AGO},
    "id-null": {**CLAIM, "id": None},
    "id-document": {**CLAIM, "id": {"a": 1}},
    "id-operator": {**CLAIM, "id": {"$gt": 1}},
    "id-negation": {**CLAIM, "id": {"$ne": 1}},
    "id-unknown-operator": {**CLAIM, "id": {"$foo": 1}},
    "id-pattern": {**CLAIM, "id": Regex("a(")},
    "id-not-a-number": {**CLAIM, "id": float("nan")},
    "id-array": {**CLAIM, "id": ["x"]},
}
WITH_ID: Final[dict[str, Any]] = {
    "ours": CLAIM,
    "id-undecodable": _UNDECODABLE,
    "more-fields": {**CLAIM, "$gt": 1, "a.b": Regex("a(")},
    "owner-number": {**CLAIM, "by": 5},
    "owner-array": {**CLAIM, "by": ["dead"]},
    "date-missing": {"by": "dead", "id": "x"},
    "date-text": {**CLAIM, "at": "yesterday"},
    "date-number": {**CLAIM, "at": Int64(2**62)},
    "date-decimal": {**CLAIM, "at": Decimal128("NaN")},
    "date-pattern": {**CLAIM, "at": Regex("a")},
    "date-timestamp": {**CLAIM, "at": Timestamp(2**31, 1)},
    "date-array": {**CLAIM, "at": [datetime.now(UTC)]},
    "date-document": {**CLAIM, "at": {"by": 1}},
    "date-ahead": {**CLAIM, "at": datetime(2999, 1, 1, tzinfo=UTC)},
    "date-first": {**CLAIM, "at": DatetimeMS(-(2**63))},
    "date-last": {**CLAIM, "at": DatetimeMS(2**63 - 1)},
}
BROKEN: Final = NO_DOCUMENTS | {f"document-{name}": claim for name, claim in WITHOUT_ID.items()}
"""What must go before the outbox can be claimed."""
CLAIMS: Final = BROKEN | WITH_ID
"""All of them; the outboxes beside them are anybody's."""
