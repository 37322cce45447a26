"""Metadata as JSON text, against `bson.json_util` as the oracle (ARCHITECTURE.md, "Stored documents")."""

from __future__ import annotations

import struct
from typing import Any

import bson
import pytest
from bson.code import Code
from bson.dbref import DBRef
from hypothesis import example, given

from tests.property.documents import (
    DECODING,
    NULL,
    Raw,
    bson_string,
    code_with_scope,
    document,
    double,
    endpoint,
    int64,
    metadata_array,
    oracle_json,
    text,
    values,
)
from tests.property.messages import Get
from tests.property.support import each_engine, metadata

GET = Get(endpoint_id="e").encode()


def hides_a_method(value: Any) -> bool:
    """Whether there is a DBRef in it with an extra field that json_util takes for a method of a container."""
    if isinstance(value, DBRef):
        return hasattr(value, "items") or hasattr(value, "__iter__") or hides_a_method(value.as_doc())
    if isinstance(value, Code):
        return hides_a_method(value.scope)
    if isinstance(value, dict):
        return any(map(hides_a_method, value.values()))
    return isinstance(value, list) and any(map(hides_a_method, value))


def expected(value: Raw) -> tuple[int, bytes | None]:
    """What the oracle makes of a value.

    A DBRef with a field called ``items`` makes json_util raise TypeError, which inside the scope of a code it
    takes for the sign of a plain string. To us such a value is unusable wherever it stands.
    """
    wrapped = document([("v", value)])
    if hides_a_method(bson.decode(wrapped, DECODING)["v"]):
        return 500, None
    return 200, b'{"k":' + oracle_json(wrapped).encode() + b"}"


@each_engine
@given(value=values)
@example(value=Raw(3, document([("$ref", text("c")), ("$id", int64(1)), ("items", int64(2))])))
@example(value=Raw(3, document([("$id", int64(1)), ("x", NULL), ("$ref", text("c")), ("$db", NULL)])))
@example(value=Raw(3, document([("$ref", text("c")), ("$id", int64(1)), ("$db", int64(1))])))
@example(
    value=code_with_scope(
        "f", [("a", Raw(3, document([("items", NULL), ("$ref", text("")), ("$id", NULL)])))]
    )
)
@example(value=Raw(11, b"a\0xsmiqz\0"))
@example(value=double(float("nan")))
@example(value=double(1e22))
@example(value=Raw(9, struct.pack("<q", 1)))
def test_every_value_prints_as_json_util_prints_it(make: str, value: Raw) -> None:
    assert metadata(make, endpoint("e", [("k", value)]), GET) == expected(value)


@each_engine
@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (text('q"\\/\b\f\n\r\t\0\x1f\x7fé😀\u2028'), '"q\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7fé😀\u2028"'),
        (int64(27), "27"),
        (double(27.0), "27.0"),
        (double(-0.0), "-0.0"),
        (double(1e22), "1e+22"),
        (double(1e-5), "1e-05"),
        (double(0.0001), "0.0001"),
        (double(1e16), "1e+16"),
        (double(123456789012345680.0), "1.2345678901234568e+17"),
        (double(float("-inf")), '{"$numberDouble":"-Infinity"}'),
        (Raw(9, struct.pack("<q", 0)), '{"$date":"1970-01-01T00:00:00Z"}'),
        (Raw(9, struct.pack("<q", 1_600_000_000_120)), '{"$date":"2020-09-13T12:26:40.120Z"}'),
        (Raw(9, struct.pack("<q", -1)), '{"$date":{"$numberLong":"-1"}}'),
        (Raw(9, struct.pack("<q", 253402300800000)), '{"$date":{"$numberLong":"253402300800000"}}'),
        (Raw(5, b"\3\0\0\0\0abc"), '{"$binary":{"base64":"YWJj","subType":"00"}}'),
        (Raw(6, b""), "null"),
        (Raw(14, bson_string("sym")), '"sym"'),
        (Raw(17, b"\1\0\0\0\2\0\0\0"), '{"$timestamp":{"t":2,"i":1}}'),
        (Raw(255, b""), '{"$minKey":1}'),
        (Raw(3, document([("a", NULL), ("b", int64(1)), ("a", int64(2))])), '{"a":2,"b":1}'),
    ],
)
def test_golden_values(make: str, value: Raw, printed: str) -> None:
    assert metadata(make, endpoint("e", [("k", value)]), GET) == (200, f'{{"k":{printed}}}'.encode())


def nested(levels: int, kind: str) -> Raw:
    """A value of ``levels`` containers, one inside the other."""
    value = NULL
    for _ in range(levels):
        if kind == "document":
            value = Raw(3, document([("d", value)]))
        elif kind == "array":
            value = Raw(4, document([("0", value)]))
        elif kind == "reference":
            value = Raw(3, document([("$ref", text("c")), ("$id", value)]))
        else:
            value = code_with_scope("f", [("s", value)])
    return value


@each_engine
@pytest.mark.parametrize("kind", ["document", "array", "reference", "scope"])
def test_two_hundred_levels_are_printed_and_more_are_refused(make: str, kind: str) -> None:
    # The document, the metadata array and the {key, value} in it are the first three levels.
    status, payload = metadata(make, endpoint("e", [("k", nested(197, kind))]), GET)
    assert status == 200
    assert payload is not None
    assert payload.startswith(b'{"k":')
    assert metadata(make, endpoint("e", [("k", nested(198, kind))]), GET) == (500, None)


@each_engine
def test_a_plain_sub_document_counts_one_level_less(make: str) -> None:
    def stored(levels: int) -> bytes:
        return document(
            [("_id", text("e")), ("metadata", Raw(3, document([("k", nested(levels, "array"))])))]
        )

    assert metadata(make, stored(198), GET)[0] == 200
    assert metadata(make, stored(199), GET)[0] == 500


@each_engine
def test_keys_stored_twice_show_the_last_value_at_the_first_place(make: str) -> None:
    pairs = [("a", int64(1)), ("b", int64(2)), ("a", int64(3))]
    assert metadata(make, endpoint("e", pairs), GET) == (200, b'{"a":3,"b":2}')
    plain = document([("_id", text("e")), ("metadata", Raw(3, document(pairs)))])
    assert metadata(make, plain, GET) == (200, b'{"a":3,"b":2}')


@each_engine
def test_a_deep_scope_in_an_ignored_field_is_still_judged(make: str) -> None:
    stored = [("_id", text("e")), ("metadata", metadata_array([])), ("other", nested(200, "scope"))]
    assert metadata(make, document(stored), GET) == (500, None)
