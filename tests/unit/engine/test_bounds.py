"""Bytes and ages of the cache, in both engines."""

from __future__ import annotations

from tests.property.documents import endpoint, int64
from tests.property.messages import Get
from tests.property.support import MONO, ask, each_engine, load, started
from tests.unit.engine.driving import GET, MISS, cached, seen, stored


@each_engine
def test_entries_and_marks_age(make: str) -> None:
    engine = started(make, cache_max_age_ms=1_000, unknown_max_age_ms=100)
    for name in ("e-1", "none"):
        ask(engine, Get(endpoint_id=name).encode())
    load(engine, stored(1))
    unknown = Get(endpoint_id="none").encode()
    assert ask(engine, unknown, mono_ms=MONO + 89) != MISS
    assert ask(engine, unknown, mono_ms=MONO + 100) == MISS
    assert cached(engine, mono_ms=MONO + 899), "jitter takes a tenth at most"
    assert not cached(engine, mono_ms=MONO + 1_000)
    assert engine.stats()["expirations"] == 2


@each_engine
def test_ages_are_spread_and_the_same_for_the_same_seed(make: str) -> None:
    def ages(seed: int) -> list[bool]:
        engine = started(make, cache_max_age_ms=1_000, hash_seed=seed)
        names = [f"e-{number}" for number in range(64)]
        for name in names:
            ask(engine, Get(endpoint_id=name).encode())
        load(engine, *(endpoint(name, []) for name in names))
        return [ask(engine, Get(endpoint_id=name).encode(), mono_ms=MONO + 950) != MISS for name in names]

    assert {True, False} == set(ages(1))
    assert ages(1) == ages(1)
    assert ages(1) != ages(2)


@each_engine
def test_the_cache_keeps_to_its_bytes_and_drops_the_least_used(make: str) -> None:
    engine = started(make, cache_max_bytes=10_000)
    for number in range(200):
        name = f"e-{number}"
        ask(engine, Get(endpoint_id=name).encode())
        load(engine, endpoint(name, [("k", int64(number))] * 3))
        assert ask(engine, Get(endpoint_id="e-0").encode()) != MISS, "used every time, so kept"
        assert 0 < int(str(engine.stats()["cache_bytes"])) <= 10_000
    stats = engine.stats()
    assert int(str(stats["evictions"])) == 200 - int(str(stats["cache_entries"]))
    assert ask(engine, Get(endpoint_id="e-1").encode()) == MISS


@each_engine
def test_marks_have_a_budget_of_their_own(make: str) -> None:
    engine = started(make, unknown_max_bytes=2_000)
    ask(engine, GET)
    load(engine, stored(1))
    for number in range(100):
        ask(engine, Get(endpoint_id=f"none-{number}").encode())
        load(engine)
        assert 0 < int(str(engine.stats()["unknown_bytes"])) <= 2_000
    assert cached(engine)


@each_engine
def test_an_entry_over_the_whole_budget_is_answered_but_not_cached(make: str) -> None:
    engine = started(make, cache_max_bytes=60)
    ask(engine, GET)
    assert seen(load(engine, stored(1))) == {"r": '"1"'}
    assert not cached(engine)
    stats = engine.stats()
    assert (stats["void_fills"], stats["evictions"], stats["cache_bytes"]) == (1, 0, 0)
