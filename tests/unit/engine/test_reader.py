"""``Reader``: what a connection is told of the chunks that it read, and what time they came at."""

from __future__ import annotations

import gc
import time
import weakref

import pytest

from kaa_epr.engine.api import FastEngine, FeedResult, Kind, Reader
from kaa_epr.nats.fast import is_fast
from tests.property.messages import Get, event_payload
from tests.property.support import answers, needs_rust, started
from tests.unit.engine.driving import OURS, cached, stored

pytestmark = needs_rust

GETS, EVENTS = 1, 2


class Connection:
    """Stands where ``Wire`` does: keeps what it is told."""

    def __init__(self, engine: FastEngine, mono_ns: int) -> None:
        self.told: list[tuple[FeedResult, float]] = []
        self.reader: Reader = engine.reader(self.took, mono_ns)

    def took(self, result: FeedResult, seconds: float) -> None:
        self.told.append((result, seconds))


def fast(store_timeout_ms: int = 1_000) -> FastEngine:
    """A Rust engine with both subscriptions bound."""
    engine = started("rust", store_timeout_ms=store_timeout_ms)
    assert is_fast(engine)
    engine.bind(GETS, Kind.GET)
    engine.bind(EVENTS, Kind.METADATA_UPDATED)
    return engine


def get_frame(**fields: int) -> bytes:
    payload = Get(**fields).encode()  # type: ignore[arg-type]
    return b"MSG gets %d reply %d\r\n%b\r\n" % (GETS, len(payload), payload)


def event_frame(headers: bytes = OURS) -> bytes:
    body = headers + event_payload(Kind.METADATA_UPDATED, "e-1")
    return b"HMSG events %d %d %d\r\n%b\r\n" % (EVENTS, len(headers), len(body), body)


def fill(engine: FastEngine, mono_ms: int) -> None:
    """Answers what waits with version 1 of the endpoint, which is then cached."""
    begun = engine.begin_load(100, mono_ms)
    assert begun is not None
    engine.end_load(begun[0], [stored(1)], wall_ms=0, mono_ms=mono_ms)
    assert engine.take_output()


def test_of_a_chunk_of_events_nobody_is_told() -> None:
    engine = fast()
    connection = Connection(engine, time.monotonic_ns())
    connection.reader.feed(get_frame())
    fill(engine, time.monotonic_ns() // 1_000_000)
    connection.told.clear()
    chunk = 3 * event_frame()
    connection.reader.feed(chunk[:-5])
    connection.reader.feed(chunk[-5:])
    assert connection.told == []
    assert engine.stats()["invalidations_metadata_updated"] == 3
    assert not cached(engine)
    assert connection.reader.bytes_read == len(get_frame()) + len(chunk)


def test_a_miss_an_answer_and_bytes_of_others_are_told_at_once() -> None:
    engine = fast()
    connection = Connection(engine, time.monotonic_ns())
    connection.reader.feed(get_frame())
    assert [result for result, _ in connection.told] == [(b"", b"", 0, True, False)]
    fill(engine, time.monotonic_ns() // 1_000_000)
    connection.told.clear()
    connection.reader.feed(get_frame() + b"PING\r\n")
    [((out, rest, count, loads, more), seconds)] = connection.told
    assert answers(out)[0]["statusCode"] == 200
    assert (rest, count, loads, more) == (b"PING\r\n", 1, False, False)
    assert 0 < seconds < 10


def test_of_flights_that_wait_the_connection_is_told_once() -> None:
    engine = fast()
    connection = Connection(engine, time.monotonic_ns())
    for frame in (get_frame(), event_frame(), get_frame()):
        connection.reader.feed(frame)
    assert [result for result, _ in connection.told] == [(b"", b"", 0, True, False)]
    assert (engine.queued(), engine.pending()) == (1, 2)


def test_a_closed_reader_takes_nothing() -> None:
    engine = fast()
    connection = Connection(engine, time.monotonic_ns())
    connection.reader.close()
    connection.reader.feed(get_frame())
    assert connection.told == []
    assert (connection.reader.bytes_read, engine.stats()["requests"]) == (0, 0)


def test_what_the_connection_raises_is_raised() -> None:
    def broken(_result: FeedResult, _seconds: float) -> None:
        raise ConnectionResetError("gone")

    reader = fast().reader(broken, time.monotonic_ns())
    with pytest.raises(ConnectionResetError, match="gone"):
        reader.feed(b"PING\r\n")


def test_the_engine_is_free_while_the_connection_is_told() -> None:
    engine = fast()
    begun: list[tuple[int, list[str]] | None] = []
    reader = engine.reader(lambda *_: begun.append(engine.begin_load(100, 1)), time.monotonic_ns())
    reader.feed(get_frame())
    assert begun == [(1, ["e-1"])]


def test_the_wall_clock_is_that_of_python() -> None:
    engine = fast()
    connection = Connection(engine, time.monotonic_ns())
    wall_ms = time.time_ns() // 1_000_000
    connection.reader.feed(get_frame(timestamp=wall_ms - 60_000, timeout=30_000))
    assert engine.stats()["requests_expired"] == 1
    connection.reader.feed(get_frame(timestamp=wall_ms, timeout=30_000))
    assert engine.stats()["requests_expired"] == 1


@pytest.mark.parametrize("days", [0, 1_000])
def test_the_monotonic_clock_goes_on_from_where_it_was_told(days: int) -> None:
    engine = fast(store_timeout_ms=5_000)
    mono_ns = time.monotonic_ns() + days * 86_400 * 10**9
    connection = Connection(engine, mono_ns)
    connection.reader.feed(get_frame())
    arrived_ms = mono_ns // 1_000_000
    engine.tick(wall_ms=0, mono_ms=arrived_ms + 4_990)
    assert engine.pending() == 1, "it may wait for 5 s"
    engine.tick(wall_ms=0, mono_ms=arrived_ms + 5_000 + 4_990)
    assert engine.pending() == 0, "it arrived less than 5 s after the reader was made"


def test_a_connection_and_its_reader_are_collected() -> None:
    connection = Connection(fast(), time.monotonic_ns())
    gone = weakref.ref(connection)
    del connection
    gc.collect()
    assert gone() is None
