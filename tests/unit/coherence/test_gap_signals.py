"""Rules 5, 6 and 11: both engines judge numbers, heartbeats, floors and witnesses alike."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kaa_epr.engine.api import Engine, Evidence, FlushCause, Kind
from kaa_epr.nats.writer import WriterNumbers
from tests.property.documents import Raw, document, endpoint, int64, text
from tests.property.messages import Get, event_payload
from tests.property.support import MONO, WALL, answers, ask, each_engine, load, needs_rust, started

NOT_COMPARED = {"cache_bytes", "cache_entries", "unknown_bytes", "unknown_entries", "pending_bytes", "epoch"}


def block(headers: dict[str, str]) -> bytes:
    """A NATS header block."""
    return b"".join([b"NATS/1.0\r\n", *(f"{k}: {v}\r\n".encode() for k, v in headers.items()), b"\r\n"])


def event(engine: Engine, headers: dict[str, str], endpoint_id: str = "e-1", mono_ms: int = MONO) -> None:
    """A metadata event."""
    payload = event_payload(Kind.METADATA_UPDATED, endpoint_id)
    engine.event(Kind.METADATA_UPDATED, block(headers), payload, mono_ms)


def beat(engine: Engine, headers: Any, mono_ms: int = MONO) -> None:
    """A heartbeat."""
    engine.event(Kind.HEARTBEAT, block(dict(headers)), b"", mono_ms)


def fill(engine: Engine, version: int) -> None:
    """Gets e-1 into the cache."""
    ask(engine, Get().encode())
    load(engine, endpoint("e-1", [], version))


@each_engine
def test_what_a_writer_publishes_is_in_sequence_and_a_lost_event_is_not(make: str) -> None:
    engine, numbers = started(make), WriterNumbers("epr", "w")
    beat(engine, numbers.heartbeat().headers)
    event(engine, numbers.next_headers(1))
    fill(engine, 1)
    beat(engine, numbers.heartbeat().headers)
    assert engine.stats()["coherent"] == 1
    assert ask(engine, Get().encode()) != b""
    numbers.next_headers(2)
    beat(engine, numbers.heartbeat().headers)
    stats = engine.stats()
    assert (stats["coherent"], stats["events_lost"], stats["flushes_hole"]) == (0, 1, 1)
    assert ask(engine, Get().encode()) == b""
    beat(engine, numbers.goodbye().headers)
    assert (engine.stats()["coherent"], engine.stats()["writers"]) == (1, 0)


@each_engine
def test_silence_is_noticed_by_a_tick_and_by_a_get(make: str) -> None:
    for tick in (False, True):
        engine = started(make, silence_ms=700, forget_ms=1000)
        beat(engine, WriterNumbers("epr", "w").heartbeat().headers)
        fill(engine, 1)
        assert ask(engine, Get().encode(), mono_ms=MONO + 699) != b""
        if tick:
            engine.tick(wall_ms=WALL, mono_ms=MONO + 700)
        else:
            assert ask(engine, Get().encode(), mono_ms=MONO + 700) == b""
        assert (engine.stats()["coherent"], engine.stats()["flushes_heartbeat"]) == (0, 1)
        engine.tick(wall_ms=WALL, mono_ms=MONO + 1700)
        assert (engine.stats()["coherent"], engine.stats()["writers"]) == (1, 0)


@each_engine
def test_a_load_below_the_floor_is_repeated_and_503_in_the_end(make: str) -> None:
    engine = started(make)
    event(engine, WriterNumbers("epr", "w").next_headers(5))
    ask(engine, Get().encode())
    for _ in range(3):
        assert load(engine, endpoint("e-1", [], 4)) == b""
    [answer] = answers(load(engine, endpoint("e-1", [], 4)))
    assert (answer["statusCode"], engine.stats()["stale_loads"], engine.pending()) == (503, 4, 0)


@each_engine
def test_witnesses_and_samples(make: str) -> None:
    engine = started(make)
    fill(engine, 3)
    assert engine.sample(10, 12345) == [("e-1", 3)]
    assert engine.cached(["e-2", "e-1"]) == [("e-1", 3)]
    assert not engine.invalidate("e-1", 3, Evidence.CHANGE_STREAM, mono_ms=MONO)
    assert engine.invalidate("e-1", 4, Evidence.CHANGE_STREAM, mono_ms=MONO)
    fill(engine, 4)
    assert engine.invalidate("e-1", None, Evidence.PROOF, mono_ms=MONO)
    assert engine.sample(10, 0) == engine.cached(["e-1"]) == []
    stats = engine.stats()
    assert (stats["stale_suspected"], stats["stale_proven"]) == (1, 1)


IDS = st.sampled_from(["e-1", "e-2"])
NUMBERS = st.integers(0, 4)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Kaa-Epr-Writer": st.sampled_from(["w", "v", "no name", ""]),
        "Kaa-Epr-Seq": st.sampled_from(["0", "1", "2", "3", "4", "+1", "1" * 19, "x"]),
        "Kaa-Epr-Version": st.sampled_from(["1", "2", "3", "+2", "-1", "9" * 19, "1.0", "x"]),
        "Kaa-Epr-Leaving": st.sampled_from(["1", "0"]),
    },
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), IDS),
        st.tuples(st.just("get"), IDS),
        st.tuples(st.just("begin"), st.integers(1, 2)),
        st.tuples(st.just("end"), st.integers(0, 2), NUMBERS, NUMBERS),
        st.tuples(st.just("event"), st.sampled_from(list(Kind)[1:5]), HEADERS, IDS),
        st.tuples(st.just("beat"), HEADERS),
        st.tuples(st.just("wait"), st.sampled_from([100, 800, 1500, 61_500])),
        st.tuples(st.just("invalidate"), IDS, st.none() | NUMBERS, st.sampled_from(list(Evidence))),
        st.tuples(st.just("flush"), st.sampled_from(FlushCause)),
        st.tuples(st.just("connect"), st.booleans()),
    ),
    max_size=40,
)


def stored(endpoint_id: str, version: int) -> bytes:
    """Version 0: no document; 4: a tombstone."""
    if version == 4:
        gone = [("_id", text(endpoint_id)), ("version", int64(4)), ("deleted_at", Raw(8, b"\1"))]
        return document(gone)
    return endpoint(endpoint_id, [], version) if version else b""


class Driven:
    """One engine under a script."""

    def __init__(self, name: str) -> None:
        self.engine = started(name)
        self.mono_ms = MONO
        self.loads: list[tuple[int, list[str]]] = []
        self.asked = 0

    def take(self, step: tuple[Any, ...]) -> Any:
        """Takes a step; what it returned and what came out."""
        result = getattr(self, step[0])(*step[1:])
        stats = {k: v for k, v in self.engine.stats().items() if k not in NOT_COMPARED}
        return result, self.engine.take_output(), stats

    def get(self, endpoint_id: str) -> bytes:
        self.asked += 1
        get = Get(endpoint_id=endpoint_id).encode()
        return ask(self.engine, get, reply=f"r{self.asked}", mono_ms=self.mono_ms)

    def begin(self, most: int) -> Any:
        begun = self.engine.begin_load(most, self.mono_ms)
        if begun is not None:
            self.loads.append(begun)
        return begun

    def end(self, place: int, one: int, two: int) -> Any:
        if place >= len(self.loads):
            return None
        number, ids = self.loads.pop(place)
        batch = b"".join(stored(id_, version) for id_, version in zip(ids, (one, two), strict=False))
        return self.engine.end_load(number, [batch], wall_ms=WALL, mono_ms=self.mono_ms)

    def event(self, kind: Kind, headers: dict[str, str], endpoint_id: str) -> None:
        self.engine.event(kind, block(headers), event_payload(kind, endpoint_id), self.mono_ms)

    def beat(self, headers: dict[str, str]) -> None:
        beat(self.engine, headers, self.mono_ms)

    def invalidate(self, endpoint_id: str, version: int | None, evidence: Evidence) -> bool:
        return self.engine.invalidate(endpoint_id, version, evidence, mono_ms=self.mono_ms)

    def flush(self, cause: FlushCause) -> None:
        self.engine.flush(cause)

    def connect(self, cluster: bool) -> bytes:
        up = {"max_payload": 1 << 20, "headers": True, "wall_ms": WALL, "mono_ms": self.mono_ms}
        held = self.engine.link_up(cluster=cluster, **up)  # type: ignore[arg-type]
        self.engine.ears(True, self.mono_ms)
        return held

    def wait(self, span_ms: int) -> None:
        self.mono_ms += span_ms
        self.engine.tick(wall_ms=WALL, mono_ms=self.mono_ms)


@needs_rust
@given(steps=STEPS)
def test_both_engines_judge_alike(steps: list[tuple[Any, ...]]) -> None:
    pure, rust = Driven("pure"), Driven("rust")
    for step in steps:
        assert pure.take(step) == rust.take(step), step
