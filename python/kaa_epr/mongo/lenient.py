"""Documents that anybody may have written, read so that no part of one stands in the way of the others."""

from __future__ import annotations

from typing import Any, Final

from bson import CodecOptions
from bson.codec_options import DatetimeConversion
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS

LENIENT: Final[CodecOptions[Any]] = DEFAULT_RAW_BSON_OPTIONS.with_options(
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    tz_aware=False,
)
"""Mappings that decode a field when it is asked for. Sub-documents stay raw: none is taken for a reference;
neither invalid UTF-8 nor dates beyond Python's range raise anything."""
