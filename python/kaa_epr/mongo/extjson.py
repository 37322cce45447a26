"""Metadata values as JSON that loses nothing: plain JSON where it does, MongoDB's Extended JSON where not.

Plain are null, booleans, strings, finite doubles, 32-bit integers, and 64-bit integers too large for 32 bits.
Everything else (a small 64-bit integer, dates, binary data, NaN, …) is written in the canonical form of
``bson.json_util``. Source: MongoDB Extended JSON (v2). Sign and payload bits of NaN are not kept: no
reader sees them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from bson import CodecOptions, Int64, json_util
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError
from bson.json_util import JSONMode, JSONOptions

from kaa_epr.mongo.documents import MAX_DEPTH, METADATA_LEVELS, DocumentInvalid

EXACT: Final[CodecOptions[dict[str, Any]]] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
"""Decodes so that encoding again gives the same bytes: dates beyond Python's range included."""

_OPTIONS: Final = JSONOptions(
    json_mode=JSONMode.CANONICAL, datetime_conversion=DatetimeConversion.DATETIME_MS, tz_aware=False
)
_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1


def to_plain(value: Any) -> Any:
    """What ``json.dumps`` writes for ``value``, which was decoded with ``EXACT``."""
    if value is None or isinstance(value, bool):
        return value
    # By class: Int64 is an int, and Code is a str.
    if type(value) in (str, int):
        return value
    if isinstance(value, Int64) and not _INT32_MIN <= value <= _INT32_MAX:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Mapping):
        return {key: to_plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [to_plain(below) for below in value]
    # Its answer is plain but for the scope of a Code.
    return to_plain(json_util.default(value, _OPTIONS))


def from_plain(value: Any, path: str, depth: int = METADATA_LEVELS + 1) -> Any:
    """The value that JSON stands for; ``path`` and ``depth`` are where it stands in the document.

    Raises ``DocumentInvalid`` for what looks like Extended JSON and is not, and for too many levels.
    """
    if isinstance(value, Mapping | list) and depth > MAX_DEPTH:
        raise DocumentInvalid(path, f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        return [from_plain(below, f"{path}.{index}", depth + 1) for index, below in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    converted = {key: from_plain(below, f"{path}.{key}", depth + 1) for key, below in value.items()}
    if not is_special(converted):
        return converted
    if converted.get("$oid", "") is None:
        # json_util would invent one, another at every import.
        raise DocumentInvalid(path, "not valid Extended JSON (no ObjectId)")
    try:
        return json_util.object_hook(converted, _OPTIONS)
    except (BSONError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise DocumentInvalid(path, f"not valid Extended JSON ({type(error).__name__})") from None


def is_special(document: Mapping[str, Any]) -> bool:
    """Whether a document could be taken for Extended JSON."""
    return any(key.startswith("$") for key in document)


def holds_special(value: Any) -> bool:
    """Whether a stored value has a sub-document that could be taken for Extended JSON."""
    if isinstance(value, Mapping):
        return is_special(value) or any(map(holds_special, value.values()))
    return isinstance(value, list) and any(map(holds_special, value))
