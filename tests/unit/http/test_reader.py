"""Requests read from bytes, however these are cut."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from kaa_epr.http.reader import MAX_HEADERS, RequestReader
from kaa_epr.http.refused import HeadTooLarge, Malformed, TooManyHeaders
from kaa_epr.refusals import Refusal
from tests.unit.http.corpus import CHUNKED, GET, HOST, PUT, REFUSED, SERVED, Refused, Served

LIMIT = 4096


class Read(NamedTuple):
    """What a reader made of some bytes."""

    requests: list[tuple[str, bytes, bytes, bytes, bytes | None]]
    """Method, path, query, body, host."""
    refusal: str | None
    stays: bool


def read(pieces: list[bytes], limit: int = LIMIT) -> Read:
    """Fed piece by piece, each request taken as soon as it is there."""
    reader = RequestReader(limit)
    requests = []
    head, body = None, b""
    try:
        for piece in pieces:
            if not reader.may_stay and reader.complete:
                break
            reader.feed(piece)
            while True:
                if head is None and (head := reader.head()) is None:
                    break
                body += reader.body()
                if not reader.complete:
                    break
                requests.append((head.method, head.path, head.query, body, dict(head.headers).get(b"host")))
                head, body = None, b""
                if not reader.waiting or not reader.may_stay:
                    break
    except Refusal as refusal:
        return Read(requests, f"{refusal.status} {refusal.message()}", stays=False)
    finally:
        stays = reader.may_stay
        reader.close()
    return Read(requests, None, stays)


def cuts(data: bytes, rng: random.Random) -> Iterator[list[bytes]]:
    """Whole, at every offset, byte by byte, and at random."""
    yield [data]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]
    yield [data[at : at + 1] for at in range(len(data))]
    for _ in range(20):
        ends = sorted(rng.sample(range(1, len(data)), min(5, len(data) - 1)))
        yield [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


@pytest.mark.parametrize("case", SERVED, ids=lambda case: case.name)
def test_what_is_served_is_read_however_it_is_cut(case: Served, rng: random.Random) -> None:
    expected = Read([(case.method, case.path, case.query, case.body, case.host)], None, case.stays)
    for pieces in cuts(case.data, rng):
        assert read(pieces) == expected


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_is_refused_is_refused_however_it_is_cut(case: Refused, rng: random.Random) -> None:
    whole = read([case.data])
    assert whole.requests == []
    assert whole.refusal is not None
    assert whole.refusal.startswith(f"{case.status} HTTP: ")
    for pieces in cuts(case.data, rng):
        found = read(pieces)
        assert found.requests == []
        assert found.refusal is not None
        assert found.refusal.startswith(f"{case.status} ")


@pytest.mark.parametrize("case", [case for case in SERVED if case.stays], ids=lambda case: case.name)
def test_requests_one_behind_another(case: Served, rng: random.Random) -> None:
    asked = (case.method, case.path, case.query, case.body, case.host)
    behind = b"PUT /next HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\n\r\nde"
    after = ("PUT", b"/next", b"", b"de", b"n")
    for pieces in cuts(case.data + behind, rng):
        found = read(pieces)
        assert found.refusal is None
        if found.stays:
            assert found.requests == [asked, after]
        else:
            # Behind chunks in the same packet: not read, so that it is asked again on another connection.
            assert b"hunked" in case.data
            assert found.requests == [asked]
    assert read([case.data, behind]).requests == [asked, after]


def test_nothing_behind_a_request_is_read_before_it_is_asked_for() -> None:
    reader = RequestReader(LIMIT)
    reader.feed((GET + HOST + b"\r\n") * 3)
    one = len(GET + HOST + b"\r\n")
    for left in (2, 1, 0):
        assert reader.head() is not None
        assert (reader.complete, reader.waiting) == (True, left * one)
    assert reader.head() is None


@pytest.mark.parametrize(
    "method", ["GET", "PUT", "PATCH", "DELETE", "POST", "HEAD", "OPTIONS", "TRACE", "QUERY"]
)
def test_methods(method: str) -> None:
    data = f"{method} / HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    assert [request[0] for request in read([data]).requests] == [method]


# --- limits -------------------------------------------------------------------------------------------------
def head_of_size(size: int) -> bytes:
    start = GET + HOST + b"A: "
    return start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize("step", [1, 100, 10_000])
def test_a_head_is_bounded_to_the_byte(step: int) -> None:
    for size, refused in ((LIMIT, False), (LIMIT + 1, True)):
        data = head_of_size(size)
        found = read([data[at : at + step] for at in range(0, size, step)])
        assert (found.refusal is not None) == refused
        assert len(found.requests) == (0 if refused else 1)


def test_a_head_without_an_end_is_refused_once_it_is_too_large() -> None:
    reader = RequestReader(LIMIT)
    reader.feed(GET + b"A: " + b"a" * (LIMIT - len(GET) - 3))
    assert reader.head() is None
    reader.feed(b"a")
    with pytest.raises(HeadTooLarge):
        reader.head()


def test_what_is_behind_a_head_does_not_count_as_head() -> None:
    body = b"x" * 3 * LIMIT
    found = read([PUT + b"Content-Length: %d\r\n\r\n" % len(body) + body + GET + HOST + b"\r\n"])
    assert [request[3] for request in found.requests] == [body, b""]


def test_headers_are_counted() -> None:
    def headers(count: int) -> bytes:
        return GET + HOST + b"A: b\r\n" * (count - 1) + b"\r\n"

    assert read([headers(MAX_HEADERS)]).refusal is None
    reader = RequestReader(LIMIT)
    reader.feed(headers(MAX_HEADERS + 1))
    with pytest.raises(TooManyHeaders):
        reader.head()


@pytest.mark.parametrize(
    "endless",
    [
        b"1;" + b"a" * LIMIT,
        b"1" + b"0" * LIMIT,
        b"0\r\n" + b"A: b\r\n" * LIMIT,
        b"0\r\nA: " + b"a" * 2 * LIMIT,
    ],
    ids=["extension", "size", "trailers", "trailer"],
)
@pytest.mark.parametrize("step", [7, 100_000])
def test_what_is_no_data_in_chunks_is_bounded(endless: bytes, step: int) -> None:
    reader = RequestReader(LIMIT)
    reader.feed(CHUNKED)
    assert reader.head() is not None
    with pytest.raises(Malformed):
        read_on(reader, [endless[at : at + step] for at in range(0, len(endless), step)])


def read_on(reader: RequestReader, pieces: list[bytes]) -> None:
    for piece in pieces:
        reader.feed(piece)
        reader.body()


def test_chunks_of_one_byte_are_served() -> None:
    found = read([CHUNKED, *[b"1\r\nx\r\n"] * 10_000, b"0\r\n\r\n"])
    assert [request[3] for request in found.requests] == [b"x" * 10_000]


def test_texts_of_refusals_hold_no_values() -> None:
    for case in REFUSED:
        found = read([case.data.replace(b": b", b": hunter2")])
        assert "hunter2" not in (found.refusal or "")
