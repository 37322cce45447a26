"""BSON values as JSON text, as `bson.json_util` prints them with relaxed options and DATETIME_AUTO.

Deviations of json_util from the Extended JSON specification are part of the contract: it is the oracle.
"""

from __future__ import annotations

import json
from typing import Any, Final

import bson
from bson import json_util
from bson.code import Code
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.dbref import DBRef
from bson.errors import InvalidBSON

from kaa_epr.engine.pure.bson_check import DocumentError, Element

_DECODING: Final = CodecOptions(
    document_class=dict, tz_aware=False, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
_PRINTING: Final = json_util.JSONOptions(
    json_mode=json_util.JSONMode.RELAXED, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)


def string_text(text: str) -> str:
    """A JSON string."""
    return json.dumps(text, ensure_ascii=False)


def value_text(value: Element | None) -> str:
    """Compact JSON text of a checked value; DocumentError when the oracle fails to print it. None is null."""
    if value is None:
        return "null"
    body = b"%cv\0%b" % (value.kind, value.raw)
    document = (len(body) + 5).to_bytes(4, "little") + body + b"\0"
    try:
        plain = _plain(bson.decode(document, _DECODING)["v"])
    except InvalidBSON:
        raise DocumentError("a metadata value has no JSON form") from None
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """As json_util converts, but with one interpreter frame per level, so that our bound on depth holds.

    json_util takes whatever has an attribute ``items`` or ``__iter__`` for a container. A DBRef shows its
    extra fields as attributes, so one with such a field makes json_util fail: here a DocumentError.
    """
    if isinstance(value, dict):
        plain: dict[str, Any] = {}
        for key, item in value.items():
            plain[key] = _plain(item)
        return plain
    if isinstance(value, list):
        items = []
        for item in value:
            items.append(_plain(item))  # noqa: PERF401 - a comprehension would double the frames per level
        return items
    if isinstance(value, DBRef):
        if hasattr(value, "items") or hasattr(value, "__iter__"):
            raise DocumentError("a metadata value has no JSON form")
        return _plain(dict(value.as_doc()))
    if isinstance(value, Code) and value.scope is not None:
        return {"$code": str(value), "$scope": _plain(dict(value.scope))}
    return json_util.default(value, _PRINTING)
