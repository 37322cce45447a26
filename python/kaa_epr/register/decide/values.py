"""Metadata values as JSON text, as gets print them."""

from __future__ import annotations

import json
from typing import Any, Final

import bson
from bson import CodecOptions, json_util
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError

from kaa_epr.refusals import Invalid

DECODING: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    tz_aware=False, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
_PRINTING: Final = json_util.JSONOptions(
    json_mode=json_util.JSONMode.RELAXED, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)


_PLAIN: Final = json.JSONEncoder(ensure_ascii=False)
_CONSTANTS: Final = {None: "null", True: "true", False: "false"}


def text_of(value: Any) -> str:
    """Compact JSON text of a value as gets print it once it is stored. Raises ``Invalid`` when it has none.

    That is how ``bson.json_util`` prints it (the oracle).
    """
    # The usual ones, far faster than the oracle, which prints them alike.
    if type(value) is str:
        return _PLAIN.encode(value)
    if type(value) is int:
        return str(value)
    if value is None or type(value) is bool:
        return _CONSTANTS[value]
    text = _printed(value)
    return _printed(_read_back(value)) if _REFERENCE in text else text


_REFERENCE: Final = '"$ref"'
"""An object with this name may be read back as a DBRef, which prints its names in an order of its own."""


def _read_back(value: Any) -> Any:
    try:
        return bson.decode(bson.encode({"": value}), DECODING)[""]
    except (BSONError, ValueError, OverflowError):
        # The rules refuse what cannot be stored, and say where it is.
        return value


def _printed(value: Any) -> str:
    try:
        text: str = json_util.dumps(value, json_options=_PRINTING, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, AttributeError):
        # It takes whatever has these attributes for a container, and a DBRef shows its fields as attributes.
        raise Invalid("metadata", "a reference with items or __iter__ has no JSON form") from None
    return text


def event_text(value: Any) -> str | None:
    """As events carry a value: JSON text, and None for JSON null (15/EME)."""
    return None if value is None else text_of(value)


def same(left: Any, right: Any) -> bool:
    """Whether a get prints both alike: ``27`` and ``27.0`` differ, and so does the order inside objects."""
    return left is right or (type(left) is type(right) and text_of(left) == text_of(right))
