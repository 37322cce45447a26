"""Verdicts on gets: the table "Decoding a get" of ARCHITECTURE.md, byte for byte, in both engines."""

from __future__ import annotations

import pytest

from kaa_epr.engine.pure.checked import Cause, DecodeError, Reader
from tests.property.messages import Get, block, long, string
from tests.property.support import answers, ask, each_engine, frames, started

HEAD = string("c") + long(1) + long(0) + string("e")
VARINT_11 = b"\x80" * 10 + b"\x00"
BITS_65 = b"\xff" * 9 + b"\x02"
I64_MIN = b"\xff" * 9 + b"\x01"

MALFORMED = [
    (b"", Cause.TRUNCATED, "", ""),
    (b"\x02", Cause.TRUNCATED, "", ""),
    (b"\x80" * 3, Cause.TRUNCATED, "", ""),
    (b"\x80" * 9, Cause.TRUNCATED, "", ""),
    (VARINT_11, Cause.VARINT, "", ""),
    (BITS_65, Cause.VARINT, "", ""),
    (b"\xff" * 10, Cause.VARINT, "", ""),
    (b"\x01", Cause.NEGATIVE_LENGTH, "", ""),
    (I64_MIN + b"abc", Cause.NEGATIVE_LENGTH, "", ""),
    (long(2**62) + b"abc", Cause.TRUNCATED, "", ""),
    (string(b"\xff"), Cause.UTF8, "", ""),
    (string(b"\xed\xa0\x80"), Cause.UTF8, "", ""),
    (string("c"), Cause.TRUNCATED, "c", ""),
    (string("c") + BITS_65, Cause.VARINT, "c", ""),
    (string("c") + long(1), Cause.TRUNCATED, "c", ""),
    (string("c") + long(1) + long(0) + b"\x03", Cause.NEGATIVE_LENGTH, "c", ""),
    (HEAD, Cause.TRUNCATED, "c", "e"),
    (HEAD + long(1), Cause.BLOCK_COUNT, "c", "e"),
    (HEAD + long(2) + string("a"), Cause.TRUNCATED, "c", "e"),
    (HEAD + long(3) + string("a"), Cause.BLOCK_COUNT, "c", "e"),
    (HEAD + long(-2), Cause.TRUNCATED, "c", "e"),
    (HEAD + long(-2) + long(0) + b"\x00", Cause.BLOCK_COUNT, "c", "e"),
    (HEAD + long(-1) + VARINT_11 + string("a"), Cause.VARINT, "c", "e"),
    (HEAD + I64_MIN + long(0), Cause.BLOCK_COUNT, "c", "e"),
    (HEAD + long(2**63 - 1), Cause.BLOCK_COUNT, "c", "e"),
    (HEAD + long(1) + b"\x01", Cause.NEGATIVE_LENGTH, "c", "e"),
    (HEAD + block(["a"]), Cause.TRUNCATED, "c", "e"),
    (HEAD + b"\x00\x02", Cause.TRAILING, "c", "e"),
    (HEAD + b"\x00\x00\x00", Cause.TRAILING, "c", "e"),
    (HEAD + b"\x00\xff", Cause.TRAILING, "c", "e"),
]


@each_engine
@pytest.mark.parametrize(("payload", "cause", "correlation_id", "endpoint_id"), MALFORMED)
def test_malformed_gets(
    make: str, payload: bytes, cause: Cause, correlation_id: str, endpoint_id: str
) -> None:
    """Whoever sent it, the schema of the protocol's first text reads the answer."""
    [answer] = answers(ask(started(make), payload), 1)
    assert answer == {
        "correlationId": correlation_id,
        "timestamp": 1_700_000_000_000,
        "timeout": 0,
        "endpointId": endpoint_id,
        "payload": None,
        "statusCode": 400,
        "reasonPhrase": cause.value,
    }


@each_engine
@pytest.mark.parametrize(("correlation_id", "endpoint_id"), [("x" * 4097, "e"), ("c", "é" * 2048 + "x")])
def test_an_identifier_over_4096_bytes_is_refused_with_an_empty_echo(
    make: str, correlation_id: str, endpoint_id: str
) -> None:
    engine = started(make)
    whole = Get(correlation_id=correlation_id, endpoint_id=endpoint_id).encode()
    for payload, cause, revision in ((whole, Cause.TOO_LONG, 3), (whole + b"\x07", Cause.TRAILING, 1)):
        [answer] = answers(ask(engine, payload), revision)
        assert (answer["statusCode"], answer["reasonPhrase"]) == (400, cause.value)
        assert (answer["correlationId"], answer["endpointId"]) == ("", "")


@each_engine
def test_an_identifier_of_4096_bytes_is_fine(make: str) -> None:
    engine = started(make)
    assert ask(engine, Get(correlation_id="x" * 4096, endpoint_id="é" * 2048).encode()) == b""
    assert engine.pending() == 1


@each_engine
@pytest.mark.parametrize("revision", [1, 2, 3])
def test_a_400_uses_the_default_revision_where_the_own_cannot_be_told(make: str, revision: int) -> None:
    wire = ask(started(make, default_revision=revision), HEAD)
    assert answers(wire, revision)[0]["statusCode"] == 400


@each_engine
def test_a_400_uses_the_own_revision_where_it_can_be_told(make: str) -> None:
    long_id = "x" * 5000
    engine = started(make, default_revision=3, plain_revision=1)
    assert answers(ask(engine, Get(endpoint_id=long_id, flag=None).encode()), 1)[0]["statusCode"] == 400
    engine = started(make, default_revision=1, plain_revision=2)
    assert answers(ask(engine, Get(endpoint_id=long_id, flag=None).encode()), 2)[0]["statusCode"] == 400
    assert answers(ask(engine, Get(endpoint_id=long_id, flag=True).encode()), 3)[0]["statusCode"] == 400


@each_engine
def test_the_bytes_of_a_400(make: str) -> None:
    [frame] = frames(ask(started(make), HEAD + b"\x00\x02"))
    reason = b"Malformed request: unexpected trailing bytes"
    assert frame.payload == (
        string("c")
        + long(1_700_000_000_000)
        + b"\0"
        + string("e")
        + b"\0"
        + long(400)
        + b"\2"
        + string(reason)
    )


@pytest.mark.parametrize(
    ("data", "cause", "offset"),
    [(b"\x06ab", Cause.TRUNCATED, 1), (b"\x80", Cause.TRUNCATED, 1), (b"\x01", Cause.NEGATIVE_LENGTH, 1)],
)
def test_an_offset_is_where_the_item_starts(data: bytes, cause: Cause, offset: int) -> None:
    reader = Reader(b"\x00" + data)
    assert reader.string() == ""
    with pytest.raises(DecodeError) as caught:
        reader.string()
    assert (caught.value.cause, caught.value.offset) == (cause, offset)
    assert str(caught.value) == f"{cause.value} (byte {offset})"


@pytest.mark.parametrize("value", [0, 1, -1, 63, 64, -65, 2**31, 2**63 - 1, -(2**63)])
def test_longs(value: int) -> None:
    reader = Reader(long(value))
    assert reader.long() == value
    assert reader.remaining() == 0
