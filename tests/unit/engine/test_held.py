"""Answers made while no connection is up: held in bounds, sent when still worth it, in both engines."""

from __future__ import annotations

from typing import Any

import pytest

from kaa_epr.engine import select
from kaa_epr.engine.api import Engine, EngineConfig
from tests.property.documents import endpoint, text
from tests.property.messages import Get
from tests.property.support import MONO, WALL, each_engine, frames, started

STORED = endpoint("e-1", [("k", text("x" * 100))])
HEADERS = b"NATS/1.0\r\ntraceparent: 00-ab\r\n\r\n"


def hold(engine: Engine, reply: str, *, headers: bytes = b"", timeout: int = 0, mono_ms: int = MONO) -> None:
    """A get that is answered while the connection is down."""
    get = Get(timestamp=WALL, timeout=timeout).encode()
    engine.get(reply, headers, get, fresh=False, wall_ms=WALL, mono_ms=mono_ms)
    begun = engine.begin_load(1, mono_ms)
    assert begun is not None
    engine.end_load(begun[0], [STORED], wall_ms=WALL, mono_ms=mono_ms)
    assert engine.take_output() == b""


def reconnect(engine: Engine, wall_ms: int = WALL, mono_ms: int = MONO, **what: Any) -> list[str]:
    """Who is answered by a new connection."""
    choices = {"max_payload": 10**6, "headers": True, "cluster": False, **what}
    wire = engine.link_up(wall_ms=wall_ms, mono_ms=mono_ms, **choices)
    assert engine.take_output() == b"", "the held answers were returned"
    assert engine.stats()["held_bytes"] == 0
    return [frame.subject for frame in frames(wire)]


@each_engine
def test_answers_wait_for_the_next_connection_in_order(make: str) -> None:
    engine = started(make)
    engine.link_down()
    for name in ("a", "b"):
        hold(engine, name)
    stats = engine.stats()
    assert (stats["answers_200"], stats["held_dropped"]) == (2, 0)
    assert int(str(stats["held_bytes"])) > 300
    assert reconnect(engine) == ["a", "b"]
    assert reconnect(engine) == []


@each_engine
def test_answers_before_the_first_connection_wait_too(make: str) -> None:
    engine = select(make, EngineConfig())  # type: ignore[arg-type]
    hold(engine, "a")
    assert reconnect(engine) == ["a"]


@each_engine
def test_what_was_ready_goes_with_its_connection(make: str) -> None:
    engine = started(make)
    engine.get("r", b"", b"\xff", fresh=False, wall_ms=WALL, mono_ms=MONO)
    engine.link_down()
    assert engine.take_output() == b""
    assert reconnect(engine) == []


@each_engine
@pytest.mark.parametrize("by_tick", [True, False])
def test_answers_are_dropped_at_their_deadline(make: str, by_tick: bool) -> None:
    engine = started(make, held_max_age_ms=500)
    engine.link_down()
    hold(engine, "deadline", timeout=100)
    hold(engine, "old")
    hold(engine, "young", mono_ms=MONO + 1)
    late = {"wall_ms": WALL + 101, "mono_ms": MONO + 500}
    if by_tick:
        engine.tick(**late)
        assert engine.stats()["held_dropped"] == 2
    assert reconnect(engine, **late) == ["young"]
    assert engine.stats()["held_dropped"] == 2


@each_engine
def test_an_answer_is_sent_up_to_its_deadline(make: str) -> None:
    engine = started(make)
    engine.link_down()
    hold(engine, "a", timeout=100)
    assert reconnect(engine, wall_ms=WALL + 100) == ["a"]


@each_engine
def test_the_oldest_make_room_for_the_youngest(make: str) -> None:
    engine = started(make, max_held_bytes=600)
    engine.link_down()
    for name in ("a", "b", "c", "d"):
        hold(engine, name)
        assert int(str(engine.stats()["held_bytes"])) <= 600
    dropped = int(str(engine.stats()["held_dropped"]))
    assert dropped > 0
    assert reconnect(engine) == ["a", "b", "c", "d"][dropped:]


@each_engine
def test_an_answer_over_the_whole_bound_is_dropped_alone(make: str) -> None:
    engine = started(make, max_held_bytes=150)
    engine.link_down()
    engine.get("small", b"", b"\xff", fresh=False, wall_ms=WALL, mono_ms=MONO)
    hold(engine, "large")
    assert engine.stats()["held_dropped"] == 1
    assert reconnect(engine) == ["small"]


@each_engine
def test_what_the_new_server_would_not_take_is_dropped(make: str) -> None:
    for what in ({"headers": False}, {"max_payload": 150}):
        engine = started(make)
        engine.link_down()
        hold(engine, "large", headers=HEADERS)
        engine.get("small", b"", b"\xff", fresh=False, wall_ms=WALL, mono_ms=MONO)
        assert reconnect(engine, **what) == ["small"]
        assert engine.stats()["held_dropped"] == 1
