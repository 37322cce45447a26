"""Strict checks of raw BSON, made before the `bson` package decodes any of it.

`bson` is lenient in places, and differently with and without its C part; here a document is what bsonspec.org
1.1 says or it is unusable; only the keys of arrays are skipped unread, as every reader does. Nothing is sized
by an unchecked number, and nesting is bounded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from kaa_epr.engine.pure.limits import MAX_DEPTH
from kaa_epr.errors import KaaEprError

_INT32: Final = struct.Struct("<i")
_OBJECT_ID_BYTES: Final = 12
_OLD_BINARY: Final = 2
"""The binary subtype that repeats its length inside (bsonspec.org, "subtype")."""


class DocumentError(KaaEprError):
    """A stored document that cannot be served; the text names the part at fault, never its content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def message(self) -> str:
        """What is wrong with the document."""
        return self.reason


class Type(IntEnum):
    """BSON element types."""

    DOUBLE = 0x01
    STRING = 0x02
    DOCUMENT = 0x03
    ARRAY = 0x04
    BINARY = 0x05
    UNDEFINED = 0x06
    OBJECT_ID = 0x07
    BOOLEAN = 0x08
    DATE = 0x09
    NULL = 0x0A
    REGEX = 0x0B
    DB_POINTER = 0x0C
    CODE = 0x0D
    SYMBOL = 0x0E
    CODE_WITH_SCOPE = 0x0F
    INT32 = 0x10
    TIMESTAMP = 0x11
    INT64 = 0x12
    DECIMAL128 = 0x13
    MAX_KEY = 0x7F
    MIN_KEY = 0xFF


FIXED: Final[dict[int, int]] = {
    Type.DOUBLE: 8,
    Type.UNDEFINED: 0,
    Type.OBJECT_ID: _OBJECT_ID_BYTES,
    Type.BOOLEAN: 1,
    Type.DATE: 8,
    Type.NULL: 0,
    Type.INT32: 4,
    Type.TIMESTAMP: 8,
    Type.INT64: 8,
    Type.DECIMAL128: 16,
    Type.MAX_KEY: 0,
    Type.MIN_KEY: 0,
}
"""Bytes of the values whose length their type says."""
_TEXTS: Final = frozenset({Type.STRING, Type.SYMBOL, Type.CODE})
_CONTAINERS: Final = frozenset({Type.DOCUMENT, Type.ARRAY})


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a document or array; its value is ``data[start:end]``.

    The value is checked, but for what documents, arrays and code scopes in it hold. ``name`` is empty in an
    array, whose keys are not looked at.
    """

    kind: Type
    name: str
    data: bytes
    start: int
    end: int

    @property
    def raw(self) -> bytes:
        """The bytes of the value."""
        return self.data[self.start : self.end]

    @property
    def is_text(self) -> bool:
        """Whether the value is a string; the deprecated symbol is one, as for PyMongo."""
        return self.kind in (Type.STRING, Type.SYMBOL)

    @property
    def is_null(self) -> bool:
        """Whether the value is null; the deprecated undefined is, as for PyMongo."""
        return self.kind in (Type.NULL, Type.UNDEFINED)

    @property
    def text(self) -> str:
        """The value of a string."""
        return self.data[self.start + 4 : self.end - 1].decode("utf-8")


def elements(document: bytes) -> Iterator[Element]:
    """The elements of a document, lazily; raises DocumentError where it is not BSON."""
    return _elements(document, 0, len(document), named=True)


def children(parent: Element) -> Iterator[Element]:
    """The elements of a value that is a document or an array."""
    return _elements(parent.data, parent.start, parent.end, named=parent.kind is Type.DOCUMENT)


def check_inside(element: Element, level: int) -> None:
    """Checks what a value holds; ``level`` is that of the document it stands in, 1 for the stored one."""
    if element.kind in _CONTAINERS:
        inner = children(element)
    elif element.kind is Type.CODE_WITH_SCOPE:
        scope = _text_end(element.data, element.start + 4, element.end)
        inner = _elements(element.data, scope, element.end, named=True)
    else:
        return
    if level >= MAX_DEPTH:
        raise DocumentError("nested too deeply")
    for child in inner:
        check_inside(child, level + 1)


def frames(document: bytes) -> Iterator[tuple[str, Element]]:
    """Names and elements, judged only as far as it takes to find their ends; raises DocumentError otherwise.

    Bytes of names that are not UTF-8 are as ``surrogateescape`` makes them.
    """
    for kind, name, start, end in _frames(document, 0, len(document)):
        yield name.decode(errors="surrogateescape"), Element(kind, "", document, start, end)


def check_element(element: Element) -> None:
    """Checks a value that was only framed, but for what documents, arrays and code scopes hold."""
    _check_value(element.data, element.kind, element.start, element.end)


def _elements(data: bytes, start: int, end: int, *, named: bool) -> Iterator[Element]:
    for kind, raw_name, value, value_end in _frames(data, start, end):
        name = _utf8(raw_name) if named else ""
        _check_value(data, kind, value, value_end)
        yield Element(kind, name, data, value, value_end)


def _frames(data: bytes, start: int, end: int) -> Iterator[tuple[Type, bytes, int, int]]:
    """Type, name, and where the value begins and ends."""
    if _document_end(data, start, end) != end:
        raise _malformed()
    pos, last = start + 4, end - 1
    while pos < last:
        try:
            kind = Type(data[pos])
        except ValueError:
            raise _malformed() from None
        value = _cstring_end(data, pos + 1, last)
        name = data[pos + 1 : value - 1]
        pos = _value_end(data, kind, value, last)
        yield kind, name, value, pos


def _check_value(data: bytes, kind: Type, start: int, end: int) -> None:
    """Checks a value whose length fits, but for what a container in it holds."""
    if kind in _TEXTS:
        _utf8(data[start + 4 : end - 1])
    elif kind is Type.BOOLEAN and data[start] > 1:
        raise _malformed()
    elif kind is Type.BINARY and data[start + 4] == _OLD_BINARY:
        if end - start < 9 or _int32(data, start + 5, end) != end - start - 9:
            raise _malformed()
    elif kind is Type.REGEX:
        _utf8(data[start:end])
    elif kind is Type.DB_POINTER:
        _utf8(data[start + 4 : end - _OBJECT_ID_BYTES - 1])
    elif kind is Type.CODE_WITH_SCOPE:
        scope = _text_end(data, start + 4, end)
        _utf8(data[start + 8 : scope - 1])
        if _document_end(data, scope, end) != end:
            raise _malformed()


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise DocumentError("invalid UTF-8") from None


def _value_end(data: bytes, kind: Type, start: int, last: int) -> int:
    """Where the value that starts at ``start`` ends; it must not reach beyond ``last``."""
    fixed = FIXED.get(kind)
    if fixed is not None:
        end = start + fixed
    elif kind in _TEXTS:
        end = _text_end(data, start, last)
    elif kind in _CONTAINERS:
        end = _document_end(data, start, last)
    elif kind is Type.BINARY:
        end = start + 5 + _length(data, start, last, least=0)
    elif kind is Type.REGEX:
        end = _cstring_end(data, _cstring_end(data, start, last), last)
    elif kind is Type.DB_POINTER:
        end = _text_end(data, start, last) + _OBJECT_ID_BYTES
    else:
        end = start + _length(data, start, last, least=14)
    if end > last:
        raise _malformed()
    return end


def _text_end(data: bytes, start: int, last: int) -> int:
    end = start + 4 + _length(data, start, last, least=1)
    if end > last or data[end - 1] != 0:
        raise _malformed()
    return end


def _document_end(data: bytes, start: int, last: int) -> int:
    end = start + _length(data, start, last, least=5)
    if end > last or data[end - 1] != 0:
        raise _malformed()
    return end


def _cstring_end(data: bytes, start: int, last: int) -> int:
    """The place after the terminator of the C string that starts at ``start``."""
    end = data.find(b"\0", start, last)
    if end < 0:
        raise _malformed()
    return end + 1


def _length(data: bytes, start: int, last: int, *, least: int) -> int:
    length = _int32(data, start, last)
    if length < least:
        raise _malformed()
    return length


def _int32(data: bytes, start: int, last: int) -> int:
    if start + 4 > last:
        raise _malformed()
    value: int = _INT32.unpack_from(data, start)[0]
    return value


def _malformed() -> DocumentError:
    return DocumentError("malformed BSON")
