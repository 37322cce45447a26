"""Rule 12: an event that is exact against the cached version changes the entry; every other one drops it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kaa_epr.engine.api import Engine, FlushCause, Kind
from kaa_epr.engine.pure import entry as pure_entry
from tests.property.diffs import JSON_TEXTS, NO_JSON, Diff, exact_headers
from tests.property.documents import NULL, Raw, endpoint, int64, text
from tests.property.messages import Get, event_payload, keys_get
from tests.property.support import MONO, answers, ask, each_engine, load, started
from tests.unit.engine.driving import GET, MISS

PAIRS = [("a", int64(1)), ('q"', text("é")), ("n", NULL)]
EXACT = Diff(removed=[("a", "1")], added=[("z", "[1]")], updated=[('q"', ('{"k":null}', '"é"'))])
AFTER = b'{"q\\"":{"k":null},"n":null,"z":[1]}'


def holding(
    make: str, pairs: list[tuple[str, Raw]] = PAIRS, app: str | None = "v1", **choices: Any
) -> Engine:
    """An engine that has version 1 of ``e-1`` in its cache."""
    engine = started(make, **choices)
    ask(engine, GET)
    load(engine, endpoint("e-1", pairs, 1, app))
    return engine


def hear(
    engine: Engine, diff: Diff | bytes, headers: bytes | None = None, mono_ms: int = MONO
) -> dict[str, Any] | None:
    """What a get is answered with after the event; None when it has to wait for a load."""
    payload = diff.encode() if isinstance(diff, Diff) else diff
    engine.event(Kind.METADATA_UPDATED, exact_headers() if headers is None else headers, payload, mono_ms)
    wire = ask(engine, GET, mono_ms=mono_ms)
    return answers(wire)[0] if wire != MISS else None


def shortened(value: str) -> str:
    """A name for a test."""
    return f"{value[:12]}-{len(value)}"


def applied(engine: Engine) -> int:
    count = engine.stats()["events_applied"]
    assert isinstance(count, int)
    return count


@each_engine
def test_an_exact_event_is_applied(make: str) -> None:
    engine = holding(make)
    answer = hear(engine, EXACT)
    assert answer is not None
    assert (answer["payload"], answer["eTag"], answer["appVersionName"]) == (AFTER, '"2"', "v1")
    stats = engine.stats()
    assert (stats["loads"], stats["events_applied"], stats["invalidations_metadata_updated"]) == (1, 1, 1)
    assert (stats["events_foreign"], stats["floors"]) == (0, 1)
    assert ask(engine, keys_get("e-1"), kind=Kind.KEYS_GET) != MISS
    get = Get(include=("z", "a")).encode()
    assert answers(ask(engine, get))[0]["payload"] == b'{"z":[1]}'


@each_engine
@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_events_of_one_endpoint_chain(make: str, blocks: int) -> None:
    engine = holding(make, [])
    for version in range(2, 5):
        added = Diff(added=[(f"k{version}", None)], blocks=blocks)
        assert hear(engine, added, exact_headers(version - 1, version, version - 1)) is not None
    answer = hear(engine, Diff(removed=[("k3", None)], blocks=blocks), exact_headers(4, 9, 4))
    assert answer is not None
    assert (answer["payload"], answer["eTag"]) == (b'{"k2":null,"k4":null}', '"9"')
    assert applied(engine) == 4


@each_engine
@pytest.mark.parametrize(
    ("before", "told", "after"),
    [("v1", "v2", "v2"), (None, "v2", "v2"), (None, "", None), ("", "", "")],
)
def test_the_application_version_is_the_events(
    make: str, before: str | None, told: str, after: str | None
) -> None:
    answer = hear(holding(make, app=before), Diff(app=told))
    assert answer is not None
    assert answer["appVersionName"] == after


@each_engine
def test_an_event_without_an_application_version_takes_none_away(make: str) -> None:
    engine = holding(make)
    assert hear(engine, Diff(app="")) is None
    assert applied(engine) == 0


@each_engine
@pytest.mark.parametrize(
    "value", [*JSON_TEXTS, "[" * 100 + "]" * 100, '{"":' * 99 + "[]" + "}" * 99], ids=shortened
)
def test_values_are_taken_over_as_they_are(make: str, value: str) -> None:
    new = None if value == "null" else value
    answer = hear(holding(make, []), Diff(added=[("k", new)]))
    assert answer is not None
    assert answer["payload"] == f'{{"k":{value}}}'.encode()


@each_engine
@pytest.mark.parametrize(
    "value",
    [*NO_JSON, "null", "[" * 101 + "]" * 101, '{"":' * 100 + "[]" + "}" * 100, "[" * 100_000],
    ids=shortened,
)
def test_what_is_not_json_as_gets_print_it_is_never_served(make: str, value: str) -> None:
    for diff in (Diff(added=[("k", value)]), Diff(updated=[("a", (value, "1"))])):
        engine = holding(make)
        assert hear(engine, diff) is None
        assert (applied(engine), engine.stats()["events_undecodable"]) == (0, 0)


HEADERS = [
    exact_headers(base=None),
    exact_headers(base="x"),
    exact_headers(base=2),
    exact_headers(base=3),
    exact_headers(base=2**63),
    exact_headers(base=0),
    exact_headers(base="1.0"),
    exact_headers(version=None),
    exact_headers(version="x"),
    exact_headers(writer=None),
    exact_headers(writer="a b"),
    exact_headers(seq=None),
    exact_headers(seq=0),
    exact_headers(seq=2),
]
"""The last: events of its writer are missing."""


@each_engine
@pytest.mark.parametrize("headers", HEADERS)
def test_an_event_that_says_something_else_in_its_headers_drops_the_entry(make: str, headers: bytes) -> None:
    engine = holding(make)
    assert hear(engine, EXACT, headers) is None
    assert applied(engine) == 0


DIFFS = [
    replace(EXACT, removed=[("a", "2")]),
    replace(EXACT, removed=[("a", None)]),
    replace(EXACT, removed=[("b", "1")]),
    replace(EXACT, updated=[('q"', ("1", '"e"'))]),
    replace(EXACT, updated=[("x", ("1", None))]),
    replace(EXACT, updated=[("n", ("1", "null"))]),
    replace(EXACT, removed=[("n", "null")]),
    replace(EXACT, added=[("n", "1")]),
    replace(EXACT, added=[("z", "1"), ("z", "1")]),
    replace(EXACT, added=[("a", "1")]),
    replace(EXACT, updated=[("a", ("2", "1"))]),
    replace(EXACT, removed=[("a", "1"), ("a", "1")]),
    EXACT.encode() + b"\0",
    EXACT.encode().replace(b"\2\6[1]", b"\4\6[1]"),
    EXACT.encode().replace(b"[1]", b"[\xff]"),
]


@each_engine
@pytest.mark.parametrize("diff", DIFFS)
def test_a_diff_that_does_not_fit_drops_the_entry(make: str, diff: Diff | bytes) -> None:
    engine = holding(make)
    assert hear(engine, diff) is None
    assert (applied(engine), engine.stats()["events_undecodable"]) == (0, 0)
    assert engine.stats()["coherent"] == 1


@each_engine
def test_an_event_cut_off_anywhere_behind_its_endpoint_drops_the_entry(make: str) -> None:
    whole = EXACT.encode()
    head = len(event_payload(Kind.METADATA_UPDATED, "e-1", b""))
    for length in range(head, len(whole)):
        engine = holding(make)
        assert hear(engine, whole[:length]) is None
        assert (applied(engine), engine.stats()["events_undecodable"]) == (0, 0)


@each_engine
def test_other_events_are_not_applied_whatever_they_carry(make: str) -> None:
    for kind in (Kind.REGISTERED, Kind.UNREGISTERED, Kind.APP_VERSION_UPDATED):
        engine = holding(make)
        engine.event(kind, exact_headers(), event_payload(kind, "e-1"), MONO)
        assert ask(engine, GET) == MISS
        assert applied(engine) == 0


@each_engine
def test_nothing_is_applied_where_the_operator_does_not_want_it(make: str) -> None:
    engine = holding(make, apply_events=False)
    assert hear(engine, EXACT) is None
    assert applied(engine) == 0


@each_engine
def test_nothing_is_applied_while_nothing_may_be_served(make: str) -> None:
    engine = holding(make)
    engine.ears(False, MONO)
    assert hear(engine, EXACT) is None
    engine.flush(FlushCause.OPERATOR)
    assert applied(engine) == 0


@each_engine
def test_an_applied_event_renews_no_age(make: str) -> None:
    engine = holding(make, cache_max_age_ms=1_000)
    later = MONO + 800
    assert hear(engine, EXACT, mono_ms=later) is not None
    assert hear(engine, Diff(), exact_headers(2, 3, 2), MONO + 1_000) is None
    assert (applied(engine), engine.stats()["expirations"]) == (1, 0)


@each_engine
def test_an_applied_event_voids_running_loads(make: str) -> None:
    engine = holding(make)
    ask(engine, GET, fresh=True)
    begun = engine.begin_load(10, MONO)
    assert begun is not None
    assert hear(engine, EXACT) is not None
    engine.end_load(begun[0], [endpoint("e-1", PAIRS, 2)], wall_ms=MONO, mono_ms=MONO)
    assert engine.stats()["void_fills"] == 1


@each_engine
def test_an_applied_event_is_no_use_of_the_entry(make: str) -> None:
    engine = holding(make)
    size = engine.stats()["cache_bytes"]
    assert isinstance(size, int)
    engine = holding(make, cache_max_bytes=2 * size + 100)
    other = Get(endpoint_id="e-2").encode()
    ask(engine, other)
    load(engine, endpoint("e-2", PAIRS))
    assert engine.stats()["cache_entries"] == 2
    engine.event(Kind.METADATA_UPDATED, exact_headers(), Diff(added=[("z", f'"{"x" * 300}"')]).encode(), MONO)
    assert engine.stats()["evictions"] == 1
    assert ask(engine, other) != MISS
    assert ask(engine, GET) == MISS, "it was used least recently, and gave way itself"


@each_engine
def test_an_entry_that_shrinks_or_grows_counts_with_its_size(make: str) -> None:
    engine = holding(make)
    sizes = [engine.stats()["cache_bytes"]]
    long = f'"{"x" * 300}"'
    for at, diff in enumerate((Diff(added=[("z", long)]), Diff(removed=[("z", long)])), start=1):
        assert hear(engine, diff, exact_headers(at, at + 1, at)) is not None
        sizes.append(engine.stats()["cache_bytes"])
    assert sizes[0] == sizes[2] != sizes[1]


def test_an_entry_does_not_grow_beyond_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = holding("pure")
    monkeypatch.setattr(pure_entry, "MAX_DOCUMENT", len(AFTER))
    assert hear(engine, EXACT) is not None
    assert hear(engine, Diff(updated=[("z", ("[12]", "[1]"))]), exact_headers(2, 3, 2)) is None
