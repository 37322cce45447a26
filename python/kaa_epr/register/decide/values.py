"""How stored values become Python objects, where they have to."""

from __future__ import annotations

from typing import Any, Final

from bson import CodecOptions
from bson.codec_options import DatetimeConversion

DECODING: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    tz_aware=False, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
