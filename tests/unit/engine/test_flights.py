"""Who waits for which load, and what it is answered with (ARCHITECTURE.md, "The engine"), in both engines."""

from __future__ import annotations

import pytest

from kaa_epr.engine.api import Engine
from tests.property.messages import Get
from tests.property.support import MONO, WALL, ask, each_engine, load, started
from tests.unit.engine.driving import GET, MISS, OURS, begin, cached, end, event, seen, stored


@each_engine
def test_gets_share_a_load(make: str) -> None:
    engine = started(make)
    for name in ("a", "b"):
        ask(engine, GET, reply=name)
    number = begin(engine)
    ask(engine, GET, reply="c")
    assert engine.begin_load(100, MONO) is None
    assert end(engine, number, stored(1)) == {"a": '"1"', "b": '"1"', "c": '"1"'}
    stats = engine.stats()
    assert (stats["misses"], stats["joined"], stats["loads"], stats["loaded_endpoints"]) == (3, 2, 1, 1)


@each_engine
def test_a_get_after_an_event_starts_a_load_of_its_own(make: str) -> None:
    engine = started(make)
    ask(engine, GET, reply="before")
    old = begin(engine)
    event(engine)
    ask(engine, GET, reply="after")
    new = begin(engine)
    assert end(engine, old, stored(1)) == {"before": '"1"'}
    assert engine.stats()["void_fills"] == 1
    assert not cached(engine)
    assert end(engine, new, stored(2)) == {"after": '"2"', "r": '"2"'}
    assert cached(engine)


@each_engine
def test_a_younger_load_answers_older_flights_whose_result_is_then_discarded(make: str) -> None:
    engine = started(make)
    ask(engine, GET, reply="before")
    old = begin(engine)
    event(engine)
    ask(engine, GET, reply="after")
    new = begin(engine)
    assert end(engine, new, stored(2)) == {"before": '"2"', "after": '"2"'}
    assert end(engine, old, stored(1)) == {}
    assert seen(ask(engine, GET)) == {"r": '"2"'}, "the older result did not take the entry's place"
    assert engine.stats()["loaded_endpoints"] == 1


@each_engine
def test_an_event_while_queued_does_not_void_the_load_to_come(make: str) -> None:
    engine = started(make)
    ask(engine, GET)
    event(engine)
    ask(engine, GET, reply="later")
    assert end(engine, begin(engine), stored(2)) == {"r": '"2"', "later": '"2"'}
    assert cached(engine)


@each_engine
def test_a_failed_load_leaves_the_other_flights_of_its_endpoint(make: str) -> None:
    engine = started(make)
    ask(engine, GET, reply="old")
    old = begin(engine)
    event(engine)
    ask(engine, GET, reply="new")
    new = begin(engine)
    engine.fail_load(new, wall_ms=WALL, mono_ms=MONO)
    assert seen(engine.take_output()) == {"new": "503"}
    assert end(engine, old, stored(1)) == {"old": '"1"'}


@each_engine
def test_a_fresh_get_takes_neither_entry_nor_mark_nor_running_flight(make: str) -> None:
    engine = started(make)
    ask(engine, GET)
    load(engine, stored(1))
    assert ask(engine, GET, reply="fresh", fresh=True) == MISS
    running = begin(engine)
    assert ask(engine, GET, reply="fresher", fresh=True) == MISS
    assert ask(engine, GET, reply="queued", fresh=True) == MISS
    assert cached(engine), "others may"
    last = begin(engine)
    assert end(engine, running, stored(2)) == {"fresh": '"2"'}
    assert end(engine, last, stored(3)) == {"fresher": '"3"', "queued": '"3"'}
    assert seen(ask(engine, GET)) == {"r": '"3"'}


@each_engine
def test_a_load_takes_the_oldest_flights_and_no_more_than_asked(make: str) -> None:
    engine = started(make)
    for name in ("c", "a", "b"):
        ask(engine, Get(endpoint_id=name).encode())
    assert engine.begin_load(0, MONO) is None
    assert engine.begin_load(2, MONO) == (1, ["c", "a"])
    assert engine.begin_load(2, MONO) == (2, ["b"])
    assert engine.begin_load(2, MONO) is None
    stats = engine.stats()
    assert (stats["running_loads"], stats["queued_flights"], stats["batch_sizes"]) == (
        2,
        0,
        [1, 1] + [0] * 10,
    )


def overdue(engine: Engine, after_ms: int) -> dict[str, str]:
    """Who is answered by a tick so long after the beginning."""
    engine.tick(wall_ms=WALL, mono_ms=MONO + after_ms)
    return seen(engine.take_output())


@each_engine
def test_a_get_that_no_load_takes_is_given_up_after_the_store_timeout(make: str) -> None:
    engine = started(make, store_timeout_ms=500)
    ask(engine, GET, reply="first")
    ask(engine, GET, reply="joined", mono_ms=MONO + 400)
    ask(engine, Get(endpoint_id="e-2").encode(), reply="second", mono_ms=MONO + 1)
    assert overdue(engine, 499) == {}
    assert overdue(engine, 500) == {"first": "503"}
    assert overdue(engine, 501) == {"second": "503"}
    assert (engine.stats()["queued_flights"], engine.pending()) == (1, 1)
    assert overdue(engine, 900) == {"joined": "503"}
    assert engine.stats()["wait_ms"] == [0] * 8 + [3] + [0] * 4
    assert (engine.stats()["queued_flights"], engine.stats()["pending_bytes"]) == (0, 0)
    assert engine.begin_load(1, MONO + 900) is None


@each_engine
def test_waiting_in_the_queue_and_for_the_load_counts_together(make: str) -> None:
    engine = started(make, store_timeout_ms=500)
    ask(engine, GET, reply="first")
    number = begin(engine, MONO + 400)
    ask(engine, GET, reply="joined", mono_ms=MONO + 450)
    assert overdue(engine, 500) == {"first": "503"}
    assert (engine.stats()["running_loads"], engine.pending()) == (1, 1)
    assert end(engine, number, stored(1), mono_ms=MONO + 600) == {"joined": '"1"'}
    assert cached(engine, mono_ms=MONO + 600)


@each_engine
def test_a_load_that_nobody_waits_for_any_more_is_cached_all_the_same(make: str) -> None:
    engine = started(make, store_timeout_ms=500)
    ask(engine, GET, reply="first")
    number = begin(engine)
    assert overdue(engine, 500) == {"first": "503"}
    assert end(engine, number, stored(1), mono_ms=MONO + 600) == {}
    assert cached(engine, mono_ms=MONO + 600)


@each_engine
def test_reloads_do_not_prolong_a_get(make: str) -> None:
    engine = started(make, store_timeout_ms=500)
    event(engine, headers=OURS.replace(b": 1", b": 5"))
    ask(engine, GET, reply="first")
    assert end(engine, begin(engine), stored(4), mono_ms=MONO + 300) == {}
    ask(engine, Get(endpoint_id="e-2").encode(), reply="younger", mono_ms=MONO + 200)
    number = begin(engine, MONO + 400)
    assert overdue(engine, 500) == {"first": "503"}
    assert end(engine, number, stored(4), mono_ms=MONO + 550) == {"younger": "404"}
    assert engine.begin_load(1, MONO + 550) is None, "nobody waits for a load that returned too little"
    assert (engine.pending(), engine.stats()["pending_bytes"]) == (0, 0)


@each_engine
def test_a_load_ends_once(make: str) -> None:
    engine = started(make)
    ask(engine, GET)
    number = begin(engine)
    end(engine, number, stored(1))
    for again in (number, 99):
        with pytest.raises(ValueError, match=f"no load {again} is running"):
            engine.end_load(again, [], wall_ms=WALL, mono_ms=MONO)
        with pytest.raises(ValueError, match=f"no load {again} is running"):
            engine.fail_load(again, wall_ms=WALL, mono_ms=MONO)
