"""Stored documents as tests make them: a naive BSON writer that can write anything, and strategies."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import bson
from bson import json_util
from hypothesis import strategies as st

from tests.property.messages import keys, mutations


@dataclass(frozen=True)
class Raw:
    """A BSON value: its type and its bytes."""

    kind: int
    data: bytes


def cstring(text: str) -> bytes:
    """A text without NUL, and a NUL."""
    return text.replace("\0", "0").encode() + b"\0"


def bson_string(text: str) -> bytes:
    """A length, the text, a NUL."""
    raw = text.encode() + b"\0"
    return struct.pack("<i", len(raw)) + raw


def document(pairs: list[tuple[str, Raw]]) -> bytes:
    """A document of these elements, duplicates included."""
    body = b"".join(bytes([raw.kind]) + cstring(key) + raw.data for key, raw in pairs)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def text(value: str) -> Raw:
    """A string value."""
    return Raw(2, bson_string(value))


def array(values: list[Raw]) -> Raw:
    """An array value."""
    return Raw(4, document([(str(index), value) for index, value in enumerate(values)]))


def int32(value: int) -> Raw:
    """An int32 value."""
    return Raw(16, struct.pack("<i", value))


def int64(value: int) -> Raw:
    """An int64 value."""
    return Raw(18, struct.pack("<q", value))


def double(value: float) -> Raw:
    """A double value."""
    return Raw(1, struct.pack("<d", value))


def code_with_scope(code: str, scope: list[tuple[str, Raw]]) -> Raw:
    """A program text with its variables."""
    body = bson_string(code) + document(scope)
    return Raw(15, struct.pack("<i", len(body) + 4) + body)


NULL = Raw(10, b"")

_words = st.text(max_size=8)
_oids = st.binary(min_size=12, max_size=12)
_flags = st.text(alphabet="imsxluzq", max_size=4)
_dates = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(10**12), 10**13),
    st.sampled_from([-1, 0, 999, 253402300799999, 253402300800000, -62135596800000, -62135596800001]),
)


def _scalars() -> st.SearchStrategy[Raw]:
    return st.one_of(
        st.floats().map(double),
        st.sampled_from([0.0, -0.0, 27.0, 1e16, 1e22, 1e-5, 1e-4, 123456789012345680.0, 5e-324]).map(double),
        _words.map(text),
        st.builds(
            lambda data, subtype: Raw(5, struct.pack("<iB", len(data), subtype) + data),
            st.binary(max_size=20),
            st.sampled_from([0, 1, 3, 4, 5, 128, 255]),
        ),
        st.binary(max_size=8).map(
            lambda data: Raw(5, struct.pack("<iBi", len(data) + 4, 2, len(data)) + data)
        ),
        st.just(Raw(6, b"")),
        _oids.map(lambda oid: Raw(7, oid)),
        st.booleans().map(lambda value: Raw(8, bytes([value]))),
        _dates.map(lambda value: Raw(9, struct.pack("<q", value))),
        st.just(NULL),
        st.builds(lambda pattern, flags: Raw(11, cstring(pattern) + cstring(flags)), _words, _flags),
        st.builds(lambda name, oid: Raw(12, bson_string(name) + oid), _words, _oids),
        _words.map(lambda code: Raw(13, bson_string(code))),
        _words.map(lambda name: Raw(14, bson_string(name))),
        st.integers(-(2**31), 2**31 - 1).map(lambda value: Raw(16, struct.pack("<i", value))),
        st.binary(min_size=8, max_size=8).map(lambda stamp: Raw(17, stamp)),
        st.integers(-(2**63), 2**63 - 1).map(int64),
        st.binary(min_size=16, max_size=16).map(lambda number: Raw(19, number)),
        _decimals(),
        st.sampled_from([Raw(255, b""), Raw(127, b"")]),
    )


def _decimals() -> st.SearchStrategy[Raw]:
    """Decimal128 as people write them; random bytes are mostly huge exponents."""
    numbers = st.builds(
        lambda mantissa, exponent: f"{mantissa}E{exponent}",
        st.integers(-(10**34) + 1, 10**34 - 1) | st.integers(-1000, 1000),
        st.integers(-50, 50),
    )
    special = st.sampled_from(["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "-0", "0E-6176", "0E+6111"])
    return (numbers | special).map(lambda number: Raw(19, bson.Decimal128(number).bid))


def _containers(inner: st.SearchStrategy[Raw]) -> st.SearchStrategy[Raw]:
    pairs = st.lists(st.tuples(keys, inner), max_size=4)
    scopes = st.builds(code_with_scope, _words, pairs)
    references = st.builds(
        lambda name, ident, database, more: Raw(
            3, document([*more[:1], ("$ref", text(name)), ("$id", ident), *database, *more[1:]])
        ),
        _words,
        inner,
        st.sampled_from([[], [("$db", text("d"))], [("$db", NULL)], [("$db", int64(1))]]),
        st.lists(
            st.tuples(st.sampled_from(["items", "x", "$id", "__iter__", "database"]) | keys, inner),
            max_size=2,
        ),
    )
    return st.one_of(
        pairs.map(lambda each: Raw(3, document(each))),
        st.lists(inner, max_size=4).map(array),
        scopes,
        references,
    )


values = st.recursive(_scalars(), _containers, max_leaves=8)
"""BSON values of every type, nested."""

metadata_pairs = st.lists(st.tuples(keys, values), max_size=6)


def metadata_array(pairs: list[tuple[str, Raw]]) -> Raw:
    """The stored form of metadata: an array of {key, value}."""
    return array([Raw(3, document([("key", text(key)), ("value", value)])) for key, value in pairs])


def endpoint(
    endpoint_id: str, pairs: list[tuple[str, Raw]], version: int = 1, app: str | None = "v1"
) -> bytes:
    """A document as the register stores it."""
    fields = [("_id", text(endpoint_id)), ("metadata", metadata_array(pairs)), ("version", int64(version))]
    return document(fields if app is None else [*fields, ("application_version", text(app))])


def _element(shape: int, odd: Raw) -> Raw:
    """One of the forms that an element of a metadata array may have, or ``odd`` itself."""
    forms: list[list[tuple[str, Raw]]] = [
        [("key", text("k")), ("value", odd)],
        [("value", odd), ("key", text("k")), ("key", text("l")), ("note", odd)],
        [("key", text("only"))],
        [("key", Raw(14, bson_string("symbol"))), ("value", odd)],
        [("key", odd), ("value", odd)],
        [("value", odd)],
    ]
    return Raw(3, document(forms[shape])) if shape < len(forms) else odd


# Strategies are made here once: one that is made anew for each example takes longer than what it draws.
_elements = st.lists(st.integers(0, 6), max_size=3)
_numbers = st.sampled_from(
    [int64(7), int64(-1), double(3.0), double(3.5), double(-0.0), double(2.0**63), Raw(16, b"\5\0\0\0")]
)
_null = st.just(NULL)
_optional = {
    "version": (80, st.one_of(_numbers, _numbers, _null, values)),
    "application_version": (80, st.one_of(_words.map(text), _null, values)),
    "deleted_at": (15, st.one_of(_null, st.just(Raw(9, b"\0" * 8)), values)),
    "outbox": (20, values),
}
"""Fields that a document may have: in how many of a hundred, and what."""


def _any_metadata(draw: st.DrawFn, pairs: list[tuple[str, Raw]], odd: Raw) -> Raw:
    match draw(st.integers(0, 4)):
        case 0 | 1:
            return metadata_array(pairs)
        case 2:
            return array([_element(shape, odd) for shape in draw(_elements)])
        case 3:
            return Raw(3, document([(key.replace("\0", "0"), value) for key, value in pairs]))
        case _:
            return odd


@st.composite
def any_document(draw: st.DrawFn, endpoint_ids: st.SearchStrategy[str]) -> bytes:
    """Documents: as stored, foreign, twisted, and with damaged bytes."""
    pairs = draw(metadata_pairs)
    odd = draw(values)
    fields = [("_id", text(draw(endpoint_ids))), ("metadata", _any_metadata(draw, pairs, odd))]
    for name, (chance, value) in _optional.items():
        if draw(st.integers(0, 99)) < chance:
            fields.append((name, draw(value)))
    if draw(st.integers(0, 99)) < 5:
        fields.append(("metadata", _any_metadata(draw, pairs, odd)))
    if draw(st.integers(0, 3)) == 0:
        fields = draw(st.permutations(fields))
    good = document(fields)
    if draw(st.integers(0, 3)):
        return good
    damaged = draw(mutations(st.just(good)))
    return damaged if draw(st.booleans()) else relength(damaged)


def relength(data: bytes) -> bytes:
    """The same bytes with the length prefix that they have."""
    return struct.pack("<i", len(data)) + data[4:]


DECODING: bson.CodecOptions[dict[str, Any]] = bson.CodecOptions(
    datetime_conversion=bson.DatetimeConversion.DATETIME_AUTO
)
PRINTING = json_util.JSONOptions(
    json_mode=json_util.JSONMode.RELAXED, datetime_conversion=bson.DatetimeConversion.DATETIME_AUTO
)


def oracle_json(wrapped: bytes) -> str:
    """JSON text of the field ``v`` of a document, as `bson.json_util` prints it; raises what it raises."""
    value = bson.decode(wrapped, DECODING)["v"]
    return json_util.dumps(value, json_options=PRINTING, ensure_ascii=False, separators=(",", ":"))
