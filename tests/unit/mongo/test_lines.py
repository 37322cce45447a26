"""Lines of JSON ↔ endpoints: no loss one way, no surprise the other way."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import bson
import pytest
from bson import (
    Binary,
    Code,
    DatetimeMS,
    DBRef,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)
from hypothesis import given
from hypothesis import strategies as st

from kaa_epr.config.mongo import MongoFields
from kaa_epr.mongo.documents import DocumentInvalid, Endpoint
from kaa_epr.mongo.transfer.lines import format_line, parse_line, stored_endpoint

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
ids = st.from_regex(r"[a-zA-Z0-9._~-]{1,12}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    texts,
    st.floats(allow_nan=False) | st.just(math.nan),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.integers(-(2**63), 2**63 - 1).map(DatetimeMS),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.builds(Binary, st.binary(max_size=9), st.sampled_from([0, 5, 128])),
    st.builds(Binary, st.binary(min_size=16, max_size=16), st.sampled_from([3, 4])),
    st.builds(Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    st.sampled_from(["1.5", "NaN", "Infinity", "-0", "1E+6144"]).map(Decimal128),
    st.sampled_from([MinKey(), MaxKey(), Code("f"), Code("f", {"a": Int64(1)}), Regex("a/b", "ix")]),
    st.sampled_from([DBRef("c", 1), DBRef("c", ObjectId(b"x" * 12), "db")]),
)
values = st.recursive(
    scalars,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(names.filter(lambda name: not name.startswith("$")), below, max_size=3)
    ),
    max_leaves=8,
)
endpoints = st.builds(
    Endpoint,
    ids,
    st.none() | names,
    st.none() | names,
    st.none() | names,
    st.dictionaries(names, values, max_size=4),
)


def stored(endpoint: Endpoint) -> bytes:
    return bson.encode({"_id": endpoint.id, **endpoint.names(), "metadata": endpoint.items(), "version": 1})


@given(endpoints)
def test_export_and_import_give_the_same_bytes(endpoint: Endpoint) -> None:
    exported = stored_endpoint(stored(endpoint), MongoFields())
    assert exported is not None
    line = format_line(exported)
    assert "\n" not in line
    json.loads(line, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert stored(parse_line(line.encode())) == stored(endpoint)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (27, "27"),
        (27.0, "27.0"),
        (-0.0, "-0.0"),
        (1e22, "1e+22"),
        (Int64(27), '{"$numberLong":"27"}'),
        (Int64(2**40), "1099511627776"),
        (math.nan, '{"$numberDouble":"NaN"}'),
        (-math.inf, '{"$numberDouble":"-Infinity"}'),
        (DatetimeMS(2**62), '{"$date":{"$numberLong":"4611686018427387904"}}'),
        ("é\u2028", '"é\u2028"'),
        ({"a": [None, True]}, '{"a":[null,true]}'),
    ],
)
def test_how_values_are_written(value: Any, text: str) -> None:
    assert (
        format_line(Endpoint("e", metadata={"k": value})) == f'{{"endpointId":"e","metadata":{{"k":{text}}}}}'
    )


@pytest.mark.parametrize(
    "value", [{"$oid": "x"}, {"a": [{"$numberLong": "1"}]}, {"$date": 5}, {"$binary": 1}, {"$numberInt": "7"}]
)
def test_a_document_that_would_come_back_as_another_is_not_exported(value: Any) -> None:
    with pytest.raises(DocumentInvalid, match=r"metadata\.k: "):
        format_line(Endpoint("e", metadata={"k": value}))


def test_a_document_with_other_dollar_names_is_exported() -> None:
    endpoint = Endpoint("e", metadata={"k": {"$set": 1}, "$oid": "a key is a key"})
    assert parse_line(format_line(endpoint).encode()) == endpoint


def test_both_ways_to_name_the_application_version() -> None:
    expected = Endpoint("e", application_version="v")
    assert parse_line(b'{"endpointId":"e","appVersion":{"name":"v"}}') == expected
    assert parse_line(b'{"endpointId":"e","applicationVersion":"v"}') == expected
    assert parse_line(b'{"endpointId":"e","applicationVersion":"v","appVersion":{"name":"v"}}') == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line: not JSON: Expecting property name"),
        (b'{"endpointId": "e"} x', "line: not JSON: Extra data at column 21"),
        (b"[]", "line: not a JSON object"),
        (b'{"endpointId":"\xff"}', "line: not UTF-8 at byte 16"),
        (b"[" * 100_000, "line: nested too deeply"),
        (b'{"endpointId":"e","metadata":{"k":' + b"[" * 200 + b"]" * 200 + b"}}", "nested deeper than 100"),
        (b'{"endpointId":"e","metadata":{"k":' + b"9" * 5000 + b"}}", "line: a number is out of range"),
        (b'{"endpointId":"e","metadata":{"k":1e999}}', "line: a number is out of range"),
        (b'{"endpointId":"e","metadata":{"k":NaN}}', 'NaN is not JSON; write {"$numberDouble": "NaN"}'),
        (b'{"endpointId":"e","metadata":{"k":9223372036854775808}}', "metadata.k: the integer does not fit"),
        (b'{"endpointId":"e","metadata":{"k":1,"k":2}}', "line: the name 'k' stands twice"),
        (b'{"endpointId":"e","metadata":{"k":{"a":1,"a":1}}}', "line: the name 'a' stands twice"),
        (b'{"endpointId":"e","meta":{}}', "line: unknown field 'meta'"),
        (b"{}", "endpointId: is missing"),
        (b'{"endpointId":null}', "endpointId: only the characters"),
        (b'{"endpointId":7}', "endpointId: is not a string"),
        (b'{"endpointId":"a/b"}', "endpointId: only the characters"),
        (b'{"endpointId":"e","metadata":[]}', "metadata: is not an object"),
        (b'{"endpointId":"e","application":1}', "application: is not a string"),
        (b'{"endpointId":"e","appVersion":"v"}', "appVersion: is not an object such as"),
        (b'{"endpointId":"e","appVersion":{"name":1}}', "name: is not a string"),
        (b'{"endpointId":"e","appVersion":{"name":"v"},"applicationVersion":"w"}', "differs from appVersion"),
        (
            b'{"endpointId":"e","metadata":{"k":[{"$oid":"x"}]}}',
            "metadata.k.0: not valid Extended JSON (Inval",
        ),
        (b'{"endpointId":"e","metadata":{"k":{"$date":[]}}}', "metadata.k: not valid Extended JSON"),
        (b'{"endpointId":"e","metadata":{"k":"\\ud800"}}', "metadata.k: holds half a surrogate pair"),
    ],
)
def test_bad_lines(line: bytes, message: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        parse_line(line)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["$oid", "$date", "$binary", "$numberLong", "$numberDecimal", "$timestamp"])
@pytest.mark.parametrize(
    "value",
    ["x", "1", 5, -1, None, True, [], {}, {"a": 1}, {"t": -1, "i": 1}, {"base64": "?", "subType": "x"}],
)
def test_no_extended_json_crashes(text: str, value: Any) -> None:
    line = json.dumps({"endpointId": "e", "metadata": {"k": {text: value}}}).encode()
    with contextlib.suppress(DocumentInvalid):
        assert parse_line(format_line(parse_line(line)).encode()) == parse_line(line)


def test_refusals_do_not_repeat_values() -> None:
    for value in ('{"$oid":"hush"}', '{"$date":"hush"}', '"hush\\ud800"', '{"$numberDecimal":"hush"}'):
        with pytest.raises(DocumentInvalid) as caught:
            parse_line(b'{"endpointId":"e","metadata":{"k":' + value.encode() + b"}}")
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "endpoint"),
    [
        ({"_id": "e"}, Endpoint("e")),
        ({"_id": "e", "metadata": {"a": 1, "b": {"c": 2}}}, Endpoint("e", metadata={"a": 1, "b": {"c": 2}})),
        ({"_id": "e", "metadata": [{"key": "a"}], "extra": 1}, Endpoint("e", metadata={"a": None})),
        (
            {"_id": "e", "metadata": [{"key": k, "value": v} for k, v in (("a", 1), ("b", 2), ("a", 3))]},
            Endpoint("e", metadata={"a": 3, "b": 2}),
        ),
        ({"_id": "e", "deleted_at": DatetimeMS(0)}, None),
        ({"_id": "e", "deleted_at": None}, Endpoint("e")),
    ],
)
def test_foreign_documents(document: dict[str, Any], endpoint: Endpoint | None) -> None:
    assert stored_endpoint(bson.encode(document), MongoFields()) == endpoint


def test_mapped_names() -> None:
    fields = MongoFields(id="id", metadata="m", application_version="v", version="r", deleted_at="d")
    document = bson.encode({"_id": 1, "id": "e", "m": {"a": 1}, "v": "v1", "application": "app"})
    assert stored_endpoint(document, fields) == Endpoint("e", "app", "v1", None, {"a": 1})
    assert stored_endpoint(bson.encode({"id": "e", "d": True}), fields) is None


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"_id": 5}, "_id: is not a string"),
        ({"_id": "e", "metadata": 5}, "metadata: is neither"),
        ({"_id": "e", "metadata": [5]}, "metadata.0: is not a"),
        ({"_id": "e", "metadata": [{"key": 5}]}, "metadata.0: is not a"),
        ({"_id": "e", "application": Code("x")}, "application: is not a string"),
    ],
)
def test_documents_without_an_endpoint(document: dict[str, Any], message: str) -> None:
    with pytest.raises(DocumentInvalid, match=message):
        stored_endpoint(bson.encode(document), MongoFields())
