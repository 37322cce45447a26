"""Metadata values: strict JSON in, and the JSON text of stored ones as gets print them."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

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


def parse_json(data: bytes, field: str) -> Any:
    """The value of JSON text (RFC 8259). Raises ``Invalid`` naming ``field``.

    Stricter than Python's reader: UTF-8 only, no NaN or Infinity, no number beyond a double, no name twice in
    one object (readers disagree on which of them counts).
    """
    try:
        return _STRICT.decode(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise Invalid(field, "not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Invalid(field, f"not JSON: {error.msg} at character {error.pos}") from None
    except _NotStrict as error:
        raise Invalid(field, str(error)) from None
    except RecursionError:
        raise Invalid(field, "nested too deeply") from None
    except ValueError:
        # Python's own bound on the digits of an integer.
        raise Invalid(field, "a number has too many digits") from None


class _NotStrict(ValueError):
    """Accepted by Python's reader, refused by us."""


def _refuse_constant(_name: str) -> NoReturn:
    raise _NotStrict("not JSON: NaN and Infinity have no JSON form")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _NotStrict("a number is beyond the range of a double")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _NotStrict("an object has a name twice")
    return result


_STRICT: Final = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique
)
"""Made once: making one costs more than reading a short text with it."""


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
