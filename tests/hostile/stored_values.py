"""Values of every BSON type and their extremes, as somebody else may have stored them: bytes, not JSON."""

from __future__ import annotations

import struct
from typing import Final

import bson

from tests.property.documents import (
    NULL,
    Raw,
    array,
    bson_string,
    code_with_scope,
    cstring,
    document,
    double,
    int32,
    int64,
    text,
)

Named = dict[str, Raw]


def date(milliseconds: int) -> Raw:
    return Raw(9, struct.pack("<q", milliseconds))


def binary(data: bytes, subtype: int) -> Raw:
    return Raw(5, struct.pack("<iB", len(data), subtype) + data)


def old_binary(data: bytes) -> Raw:
    return Raw(5, struct.pack("<iBi", len(data) + 4, 2, len(data)) + data)


def timestamp(seconds: int, increment: int) -> Raw:
    return Raw(17, struct.pack("<II", increment, seconds))


def regex(pattern: str, flags: str) -> Raw:
    return Raw(11, cstring(pattern) + cstring(flags))


def decimal(number: str) -> Raw:
    return Raw(19, bson.Decimal128(number).bid)


def embedded(*pairs: tuple[str, Raw]) -> Raw:
    return Raw(3, document(list(pairs)))


def nested(levels: int, *, arrays: bool) -> Raw:
    value = NULL
    for _ in range(levels):
        value = array([value]) if arrays else embedded(("d", value))
    return value


NUMBERS: Final[Named] = {
    "double 0": double(0.0),
    "double -0": double(-0.0),
    "double 27": double(27.0),
    "double NaN": double(float("nan")),
    "double NaN, negative": Raw(1, bytes.fromhex("000000000000f8ff")),
    "double NaN that signals": Raw(1, bytes.fromhex("010000000000f07f")),
    "double Infinity": double(float("inf")),
    "double -Infinity": double(float("-inf")),
    "double, the largest": double(1.7976931348623157e308),
    "double, the least": double(5e-324),
    "double of a third": double(1 / 3),
    "double 1e16": double(1e16),
    "double 1e15": double(1e15),
    "double 1e-5": double(1e-5),
    "int32 0": int32(0),
    "int32, the least": int32(-(2**31)),
    "int32, the largest": int32(2**31 - 1),
    "int64 0": int64(0),
    "int64, the least": int64(-(2**63)),
    "int64, the largest": int64(2**63 - 1),
    "decimal 0": decimal("0"),
    "decimal -0E-6176": decimal("-0E-6176"),
    "decimal, the largest": decimal("9.999999999999999999999999999999999E+6144"),
    "decimal NaN": decimal("NaN"),
    "decimal sNaN": decimal("sNaN"),
    "decimal -Infinity": decimal("-Infinity"),
    "decimal of ones": Raw(19, b"\xff" * 16),
    "decimal beyond its digits": Raw(19, bytes.fromhex("ffffffffffffffffffffffffffff0730")),
}
TEXTS: Final[Named] = {
    "string empty": text(""),
    "string with NUL": text("a\0b"),
    "string of controls": text("".join(map(chr, range(32))) + "\x7f\x80"),
    "string of separators": text("\u2028\u2029\ufeff\uffff"),
    "string of emoji": text("\U0001f600" * 3 + "\U0010ffff"),
    "string of markup": text("</script><!--\\\"'"),
    "symbol": Raw(14, bson_string("sym\0bol")),
    "code": Raw(13, bson_string("function(){return '\\n'}")),
    "code with scope": code_with_scope("f", [("a", int64(1)), ("b", NULL)]),
    "code with an empty scope": code_with_scope("", []),
    "regular expression": regex('a/"b\\', "imsux"),
    "regular expression of nothing": regex("", ""),
    "regular expression of flags nobody knows": regex("(", "zzlqi"),
}
OTHERS: Final[Named] = {
    "null": NULL,
    "undefined": Raw(6, b""),
    "true": Raw(8, b"\1"),
    "false": Raw(8, b"\0"),
    "the least key": Raw(255, b""),
    "the largest key": Raw(127, b""),
    "object ID of zeros": Raw(7, b"\0" * 12),
    "object ID of ones": Raw(7, b"\xff" * 12),
    "pointer": Raw(12, bson_string("db.c") + b"\1" * 12),
    "date 0": date(0),
    "date -1": date(-1),
    "date, the last of Python": date(253402300799999),
    "date, one more": date(253402300800000),
    "date, the first of Python": date(-62135596800000),
    "date, one less": date(-62135596800001),
    "date, the least": date(-(2**63)),
    "date, the largest": date(2**63 - 1),
    "timestamp 0": timestamp(0, 0),
    "timestamp, the largest": timestamp(2**32 - 1, 2**32 - 1),
    **{f"binary {subtype}": binary(b"\0\1\xff", subtype) for subtype in (0, 1, 6, 7, 8, 9, 127, 128, 255)},
    "binary 2": old_binary(b"\0\1\xff"),
    "binary 3 of 16 bytes": binary(bytes(range(16)), 3),
    "binary 4 of 16 bytes": binary(bytes(range(16)), 4),
    "binary 4 of 3 bytes": binary(b"abc", 4),
    "binary 5 of 16 bytes": binary(bytes(range(16)), 5),
    "binary of nothing": binary(b"", 0),
    "binary of 10,000 bytes": binary(bytes(10_000), 0),
}
CONTAINERS: Final[Named] = {
    "document empty": embedded(),
    "array empty": array([]),
    "document of an empty name": embedded(("", int32(1))),
    "document of operators": embedded(("$set", int32(1)), ("a.b", int32(2)), ("$", NULL)),
    "document of a name twice": embedded(("a", int32(1)), ("b", int32(2)), ("a", int32(3))),
    "document like Extended JSON": embedded(("$date", text("x"))),
    "document like a number": embedded(("$numberLong", text("5"))),
    "array of odd names": Raw(4, document([("7", int32(1)), ("x", int32(2)), ("7", int32(3))])),
    "array 90 deep": nested(90, arrays=True),
    "document 90 deep": nested(90, arrays=False),
    "reference": embedded(("$ref", text("a")), ("$id", int32(1))),
    "reference to a database": embedded(("$ref", text("a")), ("$id", int32(1)), ("$db", text("d"))),
    "reference in another order": embedded(("$id", int32(1)), ("$ref", text("a"))),
    "reference with more": embedded(("$ref", text("a")), ("$id", int32(1)), ("x", int32(2))),
    "reference that is none": embedded(("$ref", int32(5)), ("$id", int32(1))),
    "reference to a database that is none": embedded(("$ref", text("a")), ("$id", NULL), ("$db", NULL)),
    "reference in a scope": code_with_scope("f", [("r", embedded(("$ref", text("a")), ("$id", NULL)))]),
}
UNREADABLE: Final[Named] = {
    "a reference with items": embedded(("$ref", text("a")), ("$id", int32(1)), ("items", int32(2))),
    "a reference with __iter__": embedded(("__iter__", NULL), ("$ref", text("a")), ("$id", int32(1))),
    "a string that is not UTF-8": Raw(2, struct.pack("<i", 3) + b"\xff\xfe\0"),
    "a string of half a pair": Raw(2, struct.pack("<i", 4) + b"\xed\xa0\x80\0"),
    "a name that is not UTF-8": Raw(3, struct.pack("<i", 8) + b"\x0a\xff\0\0"),
    "a boolean of two": Raw(8, b"\2"),
}
"""What no reader can show, as far as mongod takes it at all."""


READABLE: Final[Named] = NUMBERS | TEXTS | OTHERS | CONTAINERS
