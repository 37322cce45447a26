"""Requests and answers against fastavro, which is the oracle for well-formed input."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa_epr import schemas
from kaa_epr.client.codec import Answer, Codec, Request, leading_correlation_id
from kaa_epr.messages.avro import AvroError

LONGS = st.integers(-(2**63), 2**63 - 1)


def answer_bytes(revision: int, **fields: Any) -> bytes:
    answer = {
        "correlationId": "c",
        "timestamp": 1,
        "timeout": 0,
        "endpointId": "e",
        "eTag": '"1"',
        "payload": b"{}",
        "statusCode": 200,
        "reasonPhrase": None,
        "appVersionName": "v",
        **fields,
    }
    buffer = io.BytesIO()
    fastavro.schemaless_writer(
        buffer, schemas.load(f"epmmp/0019-endpoint-metadata-get-response.rev{revision}"), answer
    )
    return buffer.getvalue()


@pytest.mark.parametrize("revision", [1, 2, 3])
@given(
    endpoint_id=st.text(),
    include=st.lists(st.text(), max_size=4),
    flag=st.booleans(),
    correlation_id=st.text(),
    timestamp=LONGS,
    timeout=LONGS,
)
def test_requests_are_what_fastavro_reads(
    revision: int,
    endpoint_id: str,
    include: list[str],
    flag: bool,
    correlation_id: str,
    timestamp: int,
    timeout: int,
) -> None:
    request = Request(endpoint_id, tuple(include), flag)
    payload = Codec(revision).encode(request, correlation_id, timestamp, timeout)
    schema = schemas.load(f"epmmp/0019-endpoint-metadata-get-request.rev{revision}")
    expected = {
        "correlationId": correlation_id,
        "timestamp": timestamp,
        "timeout": timeout,
        "endpointId": endpoint_id,
        "include": include,
    }
    if revision == 3:
        expected["includeMetadata"] = flag
    stream = io.BytesIO(payload)
    assert fastavro.schemaless_reader(stream, schema, None) == expected
    assert stream.read() == b""


def test_a_request_in_bytes() -> None:
    payload = Codec(3).encode(Request("e", ("a",), True), "c", 1, 2)
    assert payload == b"\x02c\x02\x04\x02e\x02\x02a\x00\x01"
    assert Codec(1).encode(Request("e", (), True), "c", 1, 2) == b"\x02c\x02\x04\x02e\x00"


def test_answers_of_each_revision() -> None:
    everything = Answer("c", "e", 200, None, b"{}", '"1"', "v")
    assert Codec(3).decode(answer_bytes(3)) == everything
    assert Codec(2).decode(answer_bytes(2)) == Answer("c", "e", 200, None, b"{}", '"1"', None)
    assert Codec(1).decode(answer_bytes(1)) == Answer("c", "e", 200, None, b"{}", None, None)
    assert "{}" not in repr(everything)


@pytest.mark.parametrize("ours", [1, 2, 3])
@pytest.mark.parametrize("theirs", [1, 2, 3])
def test_an_answer_of_another_revision_is_recognized(ours: int, theirs: int) -> None:
    payload = answer_bytes(theirs)
    if ours == theirs:
        assert Codec(ours).decode(payload).status == 200
        return
    with pytest.raises(AvroError):
        Codec(ours).decode(payload)
    assert Codec(ours).other_revision(payload) == theirs


def test_bytes_of_no_revision() -> None:
    assert Codec(3).other_revision(b"\x02c\xff") is None
    assert leading_correlation_id(b"\x02c\xff") == "c"
    assert leading_correlation_id(b"\x04c") is None
    assert leading_correlation_id(b"") is None
