"""Elements of BSON that is known to be well-formed, several times faster than by checking it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from kaa_epr.engine.pure.bson_check import FIXED, Type

_INT32: Final = struct.Struct("<i").unpack_from
_BEYOND_LENGTH: Final[dict[int, int]] = {
    Type.STRING: 4,
    Type.SYMBOL: 4,
    Type.CODE: 4,
    Type.DOCUMENT: 0,
    Type.ARRAY: 0,
    Type.CODE_WITH_SCOPE: 0,
    Type.BINARY: 5,
    Type.DB_POINTER: 16,
}
"""Bytes beside those that a value's length counts."""


def scan(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Of each element of a document or array: type, where its name begins, its value begins, and ends."""
    at, last = start + 4, end - 1
    fixed, beyond, find = FIXED, _BEYOND_LENGTH, data.index
    while at < last:
        kind = data[at]
        value = find(b"\0", at + 1) + 1
        size = fixed.get(kind)
        if size is not None:
            after = value + size
        elif kind in beyond:
            after = value + beyond[kind] + _INT32(data, value)[0]
        else:
            after = find(b"\0", find(b"\0", value) + 1) + 1
        yield kind, at + 1, value, after
        at = after
