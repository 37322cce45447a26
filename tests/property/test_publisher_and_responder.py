"""What a responder makes of the register's events is, byte for byte, what it would load: in both engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import assume, event, example, given
from hypothesis import strategies as st

from kaa_epr.engine.api import Engine, Kind
from kaa_epr.nats.writer import WriterNumbers
from kaa_epr.register.decide.api import Command, Planned, Planner, Request, Work
from tests.property.documents import (
    Raw,
    document,
    double,
    endpoint,
    int64,
    metadata_array,
    metadata_pairs,
    text,
    values,
)
from tests.property.messages import Get, keys, keys_get
from tests.property.support import MONO, answers, ask, each_engine, load, started
from tests.support.planning import AUTHOR, CLAIM, LIMITS, items, planner

GET = Get(endpoint_id="e").encode()

common = st.sampled_from(["a", "b", "serial", "é", 'q"\\', "\n"])
names = keys.filter(lambda name: "\0" not in name) | st.sampled_from(
    ["$date", "$oid", "$numberLong", "$numberDouble", "$ref", "$id", "$db", "$uuid"]
)
"""In values that the intake lets through."""
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-0.0, 1e22, 27, 27.0, 2**31, -(2**63), 2**63 - 1, 5e-324, "null", "$ref"]),
    st.text(max_size=8),
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=6,
)
"""What commands may bring."""
objects = st.dictionaries(common | st.text(min_size=1, max_size=4), json_values, min_size=1, max_size=4)
Wanted = tuple[str, Any]
"""A command of whichever planner: its name, and what it brings."""
commands: st.SearchStrategy[Wanted] = st.one_of(
    st.tuples(st.sampled_from(["put_keys", "replace_metadata"]), objects),
    st.tuples(st.just("delete_key"), common),
    st.tuples(
        st.just("import_endpoint"),
        st.tuples(st.sampled_from(["v1", "v2"]), st.sampled_from(["t", "u"]), objects),
    ),
)
several = st.lists(commands, min_size=1, max_size=3)
foreign = st.one_of(
    metadata_pairs.map(lambda pairs: Raw(3, document(pairs))),
    metadata_pairs.map(lambda pairs: metadata_array([*pairs, *pairs[:1]])),
    values,
)
"""Metadata as others may store it."""


def command(engine: Planner, wanted: Wanted) -> Command:
    """The planner's own."""
    match wanted:
        case ("import_endpoint", (version, token, metadata)):
            return engine.import_endpoint("a", version, token, items(metadata))
        case ("delete_key", key):
            return engine.delete_key(key)
        case ("put_keys", values):
            return engine.put_keys(items(values))
        case (_, metadata):
            return engine.replace_metadata(items(metadata))


def planned(name: str, document: bytes, wanted: Sequence[Wanted]) -> Planned:
    """What the register does, with the planner of the engine's name."""
    engine = planner(name)
    requests = [Request(command(engine, each), "c") for each in wanted]
    [made] = engine.plan([Work("e", document, requests)], AUTHOR, CLAIM, LIMITS)
    return made


def stored(made: Planned) -> bytes:
    """The document as the register leaves it."""
    assert made.document is not None
    return made.document


def hear(engine: Engine, made: Planned) -> None:
    """The events of a plan, as its publisher numbers them."""
    numbers = WriterNumbers("epr")
    for outgoing in made.events:
        lines = numbers.next_headers(outgoing.version, outgoing.base).items()
        block = "".join(f"{name}: {value}\r\n" for name, value in lines)
        kind = Kind[outgoing.kind.name]
        engine.event(kind, f"NATS/1.0\r\n{block}\r\n".encode(), outgoing.payload, MONO)


def shown(engine: Engine) -> list[dict[str, Any]]:
    """Everything that gets show of the endpoint; loads nothing."""
    return [*answers(ask(engine, GET)), {"keys": ask(engine, keys_get("e"), kind=Kind.KEYS_GET)}]


def holding(make: str, raw: bytes) -> Engine:
    """An engine that has cached what the document is."""
    engine = started(make)
    ask(engine, GET)
    load(engine, raw)
    return engine


@each_engine
@given(pairs=metadata_pairs, app=st.sampled_from(["v1", None]), wanted=several)
@example(
    pairs=[("a", Raw(12, b"\2\0\0\0n\0" + bytes(12))), ("b", double(-0.0)), ("b", text("again"))],
    app=None,
    wanted=[
        ("put_keys", {"c": {"$id": 1, "$ref": "x"}, "a": {"$date": "soon"}, "n": None}),
        ("delete_key", "b"),
    ],
)
@example(
    pairs=[("a", int64(2**63 - 1))],
    app="v1",
    wanted=[("put_keys", {"a": 1e22}), ("put_keys", {"a": -(2**63)})],
)
@example(
    pairs=[("a", int64(1))],
    app="v1",
    wanted=[("replace_metadata", {"b": 2, "a": 3}), ("put_keys", {"a": None})],
)
def test_an_applied_event_leaves_what_a_load_would(
    make: str,
    pairs: list[tuple[str, Raw]],
    app: str | None,
    wanted: list[Wanted],
) -> None:
    old = endpoint("e", pairs, version=7, app=app)
    engine = holding(make, old)
    assume(engine.stats()["cache_entries"])
    made = planned(make, old, wanted)
    event(f"{len(made.events)} events")
    hear(engine, made)
    exact = [outgoing for outgoing in made.events if outgoing.base is not None]
    if len(exact) < len(made.events):
        # Another application version is told of by an event that drops the entry; what follows finds none.
        assert not engine.stats()["cache_entries"]
        return
    assert engine.stats()["events_applied"] == len(made.events)
    assert shown(engine) == shown(holding(make, stored(made)))
    assert engine.stats()["loads"] == 1


@each_engine
@given(metadata=foreign, version=st.sampled_from([int64(7), double(7.0), None]), wanted=several)
def test_whatever_was_stored_no_event_leaves_anything_else(
    make: str, metadata: Raw, version: Raw | None, wanted: list[Wanted]
) -> None:
    named = [("_id", text("e")), ("metadata", metadata)]
    old = document(named if version is None else [*named, ("version", version)])
    engine = holding(make, old)
    made = planned(make, old, wanted)
    event(f"{len(made.events)} events")
    hear(engine, made)
    if engine.stats()["cache_entries"] and made.events:
        assert shown(engine) == shown(holding(make, stored(made)))
    assert version is not None or all(outgoing.base is None for outgoing in made.events[:1])
