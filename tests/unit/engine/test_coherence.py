"""What is cached, served and joined, and what is not (ARCHITECTURE.md, "Coherence"), in both engines."""

from __future__ import annotations

import pytest

from kaa_epr.engine.api import FlushCause, Kind
from tests.property.documents import document, endpoint, int64, text
from tests.property.messages import EVENTS, Get, event_payload
from tests.property.support import MONO, WALL, ask, each_engine, load, started
from tests.unit.engine.driving import GET, MISS, OURS, begin, cached, end, event, seen, stored

KINDS = EVENTS


@each_engine
@pytest.mark.parametrize("kind", KINDS)
def test_an_event_drops_its_entry_and_no_other(make: str, kind: Kind) -> None:
    engine = started(make)
    for name in ("e-1", "e-2"):
        ask(engine, Get(endpoint_id=name).encode())
    load(engine, stored(1), endpoint("e-2", []))
    assert cached(engine)
    event(engine, kind)
    assert not cached(engine)
    assert ask(engine, Get(endpoint_id="e-2").encode()) != MISS
    assert engine.stats()[f"invalidations_{kind.name.lower().replace('app_version', 'appversion')}"] == 1


@each_engine
@pytest.mark.parametrize(
    ("result", "status"),
    [
        (b"", "404"),
        (document([("_id", text("e-1")), ("deleted_at", int64(1))]), "404"),
        (document([("_id", text("e-1")), ("metadata", int64(1))]), "500"),
    ],
)
def test_what_a_load_found_takes_the_place_of_what_was_cached(make: str, result: bytes, status: str) -> None:
    engine = started(make)
    ask(engine, GET)
    load(engine, stored(1))
    ask(engine, GET, fresh=True)
    assert seen(load(engine, result)) == {"r": status}
    assert '"1"' not in seen(ask(engine, GET)).values()


@each_engine
def test_a_found_endpoint_removes_the_mark_of_an_unknown_one(make: str) -> None:
    engine = started(make, cache_max_bytes=60)
    ask(engine, GET)
    load(engine)
    assert cached(engine)
    ask(engine, GET, fresh=True)
    assert seen(load(engine, stored(1))) == {"r": '"1"'}
    assert not cached(engine), "too large to be cached, but no longer a 404"


@each_engine
@pytest.mark.parametrize("payload", [b"", b"\x02", b"\xff" * 30])
def test_an_undecodable_event_flushes(make: str, payload: bytes) -> None:
    engine = started(make)
    ask(engine, GET)
    load(engine, stored(1))
    ask(engine, Get(endpoint_id="e-2").encode(), reply="waits")
    number = begin(engine)
    engine.event(Kind.REGISTERED, b"", payload, MONO)
    assert not cached(engine)
    assert end(engine, number, endpoint("e-2", [])) == {"waits": '"1"'}
    assert ask(engine, Get(endpoint_id="e-2").encode()) == MISS
    stats = engine.stats()
    assert (stats["events_undecodable"], stats["flushes_undecodable_event"]) == (1, 1)


@each_engine
def test_a_damaged_tail_still_names_the_endpoint(make: str) -> None:
    engine = started(make)
    ask(engine, GET)
    load(engine, stored(1))
    engine.event(Kind.METADATA_UPDATED, OURS, event_payload(Kind.METADATA_UPDATED, "e-1", tail=b"\xff"), MONO)
    assert not cached(engine)
    assert engine.stats()["events_undecodable"] == 0


@each_engine
@pytest.mark.parametrize("cause", list(FlushCause))
def test_a_flush_empties_the_cache_and_voids_what_runs(make: str, cause: FlushCause) -> None:
    engine = started(make)
    ask(engine, GET)
    load(engine, stored(1))
    ask(engine, Get(endpoint_id="e-2").encode(), reply="before")
    old = begin(engine)
    counted = engine.stats()[f"flushes_{cause.name.lower()}"]
    engine.flush(cause)
    assert not cached(engine)
    ask(engine, Get(endpoint_id="e-2").encode(), reply="after")
    new = begin(engine)
    assert end(engine, old, endpoint("e-2", [])) == {"before": '"1"'}
    assert end(engine, new, endpoint("e-2", []), stored(2)) == {"after": '"1"', "r": '"2"'}
    assert cached(engine)
    assert engine.stats()[f"flushes_{cause.name.lower()}"] == int(str(counted)) + 1


@each_engine
def test_a_new_connection_forgets_everything_and_hears_nothing(make: str) -> None:
    engine = started(make)
    ask(engine, GET)
    load(engine, stored(1))
    ask(engine, Get(endpoint_id="e-2").encode(), reply="before")
    old = begin(engine)
    engine.link_up(max_payload=10**6, headers=True, cluster=False, wall_ms=WALL, mono_ms=MONO)
    assert engine.stats()["coherent"] == 0
    assert end(engine, old, endpoint("e-2", [])) == {"before": '"1"'}
    engine.ears(True, MONO)
    assert not cached(engine)
    assert ask(engine, Get(endpoint_id="e-2").encode()) == MISS


@each_engine
def test_without_ears_nothing_is_cached_served_or_joined(make: str) -> None:
    engine = started(make)
    ask(engine, GET)
    load(engine, stored(1))
    engine.ears(False, MONO)
    assert not cached(engine)
    number = begin(engine)
    ask(engine, GET, reply="later")
    assert end(engine, number, stored(1)) == {"r": '"1"'}
    late = begin(engine)
    engine.ears(True, MONO)
    assert end(engine, late, stored(2)) == {"later": '"2"'}
    assert not cached(engine), "the load began before the subscriptions were confirmed"
    assert end(engine, begin(engine), stored(2)) == {"r": '"2"'}
    assert cached(engine)
    engine.ears(True, MONO)
    assert cached(engine), "said twice is said once"
    assert engine.stats()["flushes_ears_lost"] == 1


@each_engine
def test_ears_without_a_connection_are_none(make: str) -> None:
    engine = started(make)
    engine.link_down()
    engine.ears(True, MONO)
    assert engine.stats()["coherent"] == 0
    ask(engine, GET)
    begun = engine.begin_load(1, MONO)
    assert begun is not None
    engine.end_load(begun[0], [stored(1)], wall_ms=WALL, mono_ms=MONO)
    engine.get("r", b"", GET, fresh=False, wall_ms=WALL, mono_ms=MONO)
    assert engine.stats()["hits"] == 0


@each_engine
def test_in_a_cluster_nothing_is_cached_until_it_settled(make: str) -> None:
    engine = started(make, settle_ms=2_000)
    engine.link_up(max_payload=10**6, headers=True, cluster=True, wall_ms=WALL, mono_ms=MONO)
    engine.ears(True, MONO)
    ask(engine, GET)
    early = begin(engine, MONO + 1_999)
    assert end(engine, early, stored(1), mono_ms=MONO + 5_000) == {"r": '"1"'}
    assert not cached(engine)
    assert end(engine, begin(engine, MONO + 2_000), stored(1), mono_ms=MONO + 5_000) == {"r": '"1"'}
    assert cached(engine)


@each_engine
def test_after_a_foreign_event_the_endpoint_settles(make: str) -> None:
    engine = started(make, foreign_settle_ms=1_000)
    event(engine, headers=b"")
    for name in ("e-1", "e-2"):
        ask(engine, Get(endpoint_id=name).encode())
    early = begin(engine, MONO + 999)
    end(engine, early, stored(1), endpoint("e-2", []), mono_ms=MONO + 999)
    assert not cached(engine)
    assert ask(engine, Get(endpoint_id="e-2").encode()) != MISS
    end(engine, begin(engine, MONO + 1_000), stored(1), mono_ms=MONO + 1_000)
    assert cached(engine)


@each_engine
def test_with_too_many_settling_endpoints_all_settle(make: str) -> None:
    engine = started(make, foreign_settle_ms=1_000)
    for number in range(65_536):
        engine.event(Kind.REGISTERED, b"", event_payload(Kind.REGISTERED, f"x{number}"), MONO)
    ask(engine, GET)
    end(engine, begin(engine), stored(1))
    assert cached(engine), "the table is full, but has room for none to be missed"
    event(engine, headers=b"", mono_ms=MONO + 500)
    ask(engine, Get(endpoint_id="other").encode())
    end(engine, begin(engine, MONO + 1_499), endpoint("other", []), mono_ms=MONO + 1_499)
    assert ask(engine, Get(endpoint_id="other").encode()) == MISS
    end(engine, begin(engine, MONO + 1_500), endpoint("other", []), mono_ms=MONO + 1_500)
    assert ask(engine, Get(endpoint_id="other").encode()) != MISS


@each_engine
def test_a_request_is_no_event_and_an_event_no_request(make: str) -> None:
    with pytest.raises(ValueError, match="a request is not an event"):
        started(make).event(Kind.GET, b"", b"", MONO)
    with pytest.raises(ValueError, match="an event is not a request"):
        ask(started(make), GET, kind=Kind.REGISTERED)
