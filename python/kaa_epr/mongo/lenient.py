"""Documents that anybody may have written, read so that no part of one stands in the way of the others."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from bson import CodecOptions
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument

LENIENT: Final[CodecOptions[Any]] = DEFAULT_RAW_BSON_OPTIONS.with_options(
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    tz_aware=False,
)
"""Mappings that decode a field when it is asked for. Sub-documents stay raw: none is taken for a reference;
neither invalid UTF-8 nor dates beyond Python's range raise anything."""


def id_of(document: bytes) -> str | None:
    """The ID of a raw document, which MongoDB keeps first; None where it is no string, or not UTF-8."""
    if document[4:9] != b"\x02_id\0":
        return None
    try:
        return document[13 : 12 + int.from_bytes(document[9:13], "little")].decode()
    except UnicodeDecodeError:
        return None


_EXPECTED: Final[dict[str, tuple[type, str]]] = {
    "endpoint_token": (str, "is not a string"),
    "created_at": (datetime, "is not a date of the years 1 to 9999"),
    "metadata_updated_at": (datetime, "is not a date of the years 1 to 9999"),
    "app_version_registered_at": (datetime, "is not a date of the years 1 to 9999"),
}
"""Fields that lists show and gets do not."""


def odd_field(document: bytes) -> str | None:
    """Which field that is shown beside the metadata is not what it should be, and why."""
    fields = RawBSONDocument(document, LENIENT)
    try:
        for name, (kind, problem) in _EXPECTED.items():
            value = fields.get(name)
            if value is not None and not isinstance(value, kind):
                return f"{name} {problem}"
    except (BSONError, ValueError, TypeError):
        return "a field cannot be read"
    return None
