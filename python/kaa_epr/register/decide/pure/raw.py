"""BSON values as the bytes that they are stored as, and documents made of them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kaa_epr.engine.pure.bson_check import DocumentError, Element, Type
from kaa_epr.engine.pure.json_text import value_text

_NAME_ERRORS: Final = "surrogateescape"
"""Names that are not UTF-8 go back as they came."""


@dataclass(frozen=True, slots=True)
class RawValue:
    """A type and the bytes that stand behind the name in an element. Well-formed."""

    kind: int
    data: bytes

    @property
    def bson(self) -> bytes:
        """The document ``{"": value}``."""
        return document([("", self)])

    @property
    def element(self) -> Element:
        """The same, to be read."""
        return Element(Type(self.kind), "", self.data, 0, len(self.data))


def of_bson(wrapped: bytes) -> RawValue:
    """The value in a document ``{"": value}``."""
    return RawValue(wrapped[4], wrapped[6:-1])


def text(value: RawValue) -> str | None:
    """JSON as gets print it; None for what has none."""
    try:
        return value_text(value.element)
    except DocumentError:
        return None


def string(value: str) -> RawValue:
    """A string."""
    data = value.encode()
    return RawValue(Type.STRING, struct.pack("<i", len(data) + 1) + data + b"\0")


def int64(value: int) -> RawValue:
    """An int64."""
    return RawValue(Type.INT64, struct.pack("<q", value))


def int32(value: int) -> RawValue:
    """An int32."""
    return RawValue(Type.INT32, struct.pack("<i", value))


def date(unix_ms: int) -> RawValue:
    """A date."""
    return RawValue(Type.DATE, struct.pack("<q", unix_ms))


def binary(data: bytes) -> RawValue:
    """Bytes of the generic subtype."""
    return RawValue(Type.BINARY, struct.pack("<iB", len(data), 0) + data)


def boolean(value: bool) -> RawValue:
    """True or false."""
    return RawValue(Type.BOOLEAN, bytes([value]))


NULL: Final = RawValue(Type.NULL, b"")


def document(pairs: Iterable[tuple[str, RawValue]]) -> bytes:
    """A document of these elements."""
    body = b"".join(
        b"%c%b\0%b" % (value.kind, name.encode(errors=_NAME_ERRORS), value.data) for name, value in pairs
    )
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def nested(pairs: Iterable[tuple[str, RawValue]]) -> RawValue:
    """A document as a value."""
    return RawValue(Type.DOCUMENT, document(pairs))


def array(values: Iterable[RawValue]) -> RawValue:
    """An array."""
    return RawValue(Type.ARRAY, document((str(index), value) for index, value in enumerate(values)))
