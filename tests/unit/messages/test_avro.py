"""The checked reader: agrees with fastavro on good bytes, names the place in bad ones."""

import functools
import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa_epr import schemas
from kaa_epr.messages.avro import AvroError, Datum

REQUEST = Datum(schemas.load("epmmp/0019-endpoint-metadata-get-request.rev3"))
RESPONSE = Datum(schemas.load("epmmp/0019-endpoint-metadata-get-response.rev3"))
UPDATED = Datum(schemas.load("events/0015-ep-metadata-updated"))


def strategy(schema: Any) -> st.SearchStrategy[Any]:
    """Values of a schema."""
    if isinstance(schema, list):
        return st.one_of([strategy(branch) for branch in schema])
    if isinstance(schema, str):
        return {
            "null": st.none(),
            "boolean": st.booleans(),
            "int": st.integers(-(2**31), 2**31 - 1),
            "long": st.integers(-(2**63), 2**63 - 1),
            "bytes": st.binary(max_size=200),
            "string": st.text(max_size=200),
        }[schema]
    match schema["type"]:
        case "record":
            return st.fixed_dictionaries({f["name"]: strategy(f["type"]) for f in schema["fields"]})
        case "array":
            return st.lists(strategy(schema["items"]), max_size=5)
        case "map":
            return st.dictionaries(st.text(max_size=9), strategy(schema["values"]), max_size=5)
        case inner:
            return strategy(inner)


def encode(schema: dict[str, Any], value: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, value)
    return buffer.getvalue()


@functools.cache
def made_for(name: str) -> tuple[dict[str, Any], Datum, st.SearchStrategy[Any]]:
    """A schema, what reads it and its values: made once, not for each example."""
    schema = schemas.load(name)
    return schema, Datum(schema), strategy(schema)


@pytest.mark.parametrize("name", schemas.names())
@given(data=st.data())
def test_reads_what_fastavro_writes(name: str, data: st.DataObject) -> None:
    schema, datum, values = made_for(name)
    value = data.draw(values)
    assert datum.decode(encode(schema, value)) == value


@given(data=st.binary(max_size=80))
def test_any_bytes_decode_or_fail_with_a_place(data: bytes) -> None:
    for datum in (REQUEST, RESPONSE, UPDATED):
        assert 0 <= offset_of_failure(datum, data) <= len(data)


def offset_of_failure(datum: Datum, data: bytes) -> int:
    """Where ``data`` fails; its length when it does not."""
    try:
        datum.decode(data)
    except AvroError as error:
        return error.offset
    return len(data)


# A revision 3 request in bytes: correlationId "c", timestamp 1, timeout 0, endpointId "e", include, flag.
HEAD = b"\x02c\x02\x00\x02e"


@pytest.mark.parametrize(
    ("payload", "cause", "offset", "field"),
    [
        (b"", "payload ends early", 0, "correlationId"),
        (b"\x04c", "payload ends early", 0, "correlationId"),
        (b"\x01", "negative length", 0, "correlationId"),
        (b"\x02\xff", "invalid UTF-8", 0, "correlationId"),
        (b"\x02c" + b"\x80" * 10, "varint too long", 2, "timestamp"),
        (b"\x02c" + b"\xff" * 9 + b"\x02", "varint too long", 2, "timestamp"),
        (b"\x02c\x80", "payload ends early", 2, "timestamp"),
        (HEAD + b"\x08\x02a", "impossible block count", 6, "include[0]"),
        (HEAD + b"\xff" * 9 + b"\x01", "impossible block count", 6, "include[0]"),
        (HEAD + b"\x04\x02a\x09", "negative length", 9, "include[1]"),
        (HEAD + b"\x02\x02a\x80", "payload ends early", 9, "include[1]"),
        (HEAD + b"\x00\x02", "boolean that is neither 0 nor 1", 7, "includeMetadata"),
        (HEAD + b"\x00", "payload ends early", 7, "includeMetadata"),
        (HEAD + b"\x00\x01\x00\x00", "2 unexpected trailing bytes", 8, ""),
    ],
)
def test_bad_bytes_are_refused_with_their_place(payload: bytes, cause: str, offset: int, field: str) -> None:
    with pytest.raises(AvroError) as caught:
        REQUEST.decode(payload)
    assert (caught.value.cause, caught.value.offset, caught.value.field) == (cause, offset, field)


def test_union_indexes_and_ints_are_checked() -> None:
    answer = b"\x02c\x02\x00\x02e\x00\x00"
    with pytest.raises(AvroError, match=r"int beyond 32 bits at byte 8 in field statusCode"):
        RESPONSE.decode(answer + b"\x80\x80\x80\x80\x10\x00\x00")
    with pytest.raises(AvroError, match=r"union index 2 of 2 branches at byte 6 in field eTag"):
        RESPONSE.decode(answer[:6] + b"\x04")
    with pytest.raises(AvroError, match=r"union index -1 of 2 branches at byte 6 in field eTag"):
        RESPONSE.decode(answer[:6] + b"\x01")


def test_a_place_within_a_map_of_records_is_named() -> None:
    bad = b"\x02c\x02\x00\x02v\x02e\x00\x00\x02\x02k\x00\x04"
    with pytest.raises(
        AvroError, match=r"union index 2 of 2 branches at byte 14 in field updated\[0\].oldValue"
    ):
        UPDATED.decode(bad)


def test_arrays_come_in_several_blocks_with_negative_counts() -> None:
    fields = REQUEST.decode(HEAD + b"\x02\x02a" + b"\x03\x7f\x02b\x02c" + b"\x00\x01")
    assert fields["include"] == ["a", "b", "c"]
    assert fields["includeMetadata"] is True


def test_types_that_no_kaa_message_uses_are_refused_when_the_schema_is_read() -> None:
    with pytest.raises(ValueError, match="float"):
        Datum({"type": "record", "name": "R", "fields": [{"name": "f", "type": "float"}]})
