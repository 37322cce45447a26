"""What a responder makes of the register's events is, byte for byte, what it would load: in both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Int64
from hypothesis import assume, event, example, given
from hypothesis import strategies as st

from kaa_epr.engine.api import Engine, Kind
from kaa_epr.mongo.documents import Endpoint
from kaa_epr.nats.writer import WriterNumbers
from kaa_epr.refusals import Unusable
from kaa_epr.register.decide.planning import Author, Item, Plan, plan
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.state import EndpointState, decode_state
from kaa_epr.register.intake.commands import Command, DeleteKey, Import, PutKeys, ReplaceMetadata
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

GET = Get(endpoint_id="e").encode()
AUTHOR = Author("r", datetime(2026, 5, 4, tzinfo=UTC), 1_777_852_800_000)
RULES = Rules()

common = st.sampled_from(["a", "b", "serial", "é", 'q"\\', "\n"])
names = keys | st.sampled_from(
    ["$date", "$oid", "$numberLong", "$numberDouble", "$ref", "$id", "$db", "$uuid"]
)
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
commands: st.SearchStrategy[Command] = st.one_of(
    objects.map(PutKeys),
    objects.map(ReplaceMetadata),
    common.map(DeleteKey),
    st.builds(
        lambda metadata, version, token: Import(Endpoint("e", "a", version, token, metadata)),
        objects,
        st.sampled_from(["v1", "v2"]),
        st.sampled_from(["t", "u"]),
    ),
)
several = st.lists(commands, min_size=1, max_size=3)
foreign = st.one_of(
    metadata_pairs.map(lambda pairs: Raw(3, document(pairs))),
    metadata_pairs.map(lambda pairs: metadata_array([*pairs, *pairs[:1]])),
    values,
)
"""Metadata as others may store it."""


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def planned(loop: asyncio.AbstractEventLoop, state: EndpointState, wanted: Sequence[Command]) -> Plan:
    """What the register does."""
    items = [Item("e", command, "c", 0.0, loop.create_future()) for command in wanted]
    return plan(state, items, RULES, AUTHOR, 64)


def stored(state: EndpointState) -> bytes:
    """The document as the register leaves it."""
    metadata = [{"key": key, "value": value} for key, value in state.metadata.items()]
    named = {"application_version": state.application_version} if state.application_version else {}
    return bson.encode({"_id": "e", "metadata": metadata, "version": Int64(state.version or 0), **named})


def hear(engine: Engine, made: Plan) -> None:
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
    wanted=[PutKeys({"c": {"$id": 1, "$ref": "x"}, "a": {"$date": "soon"}, "n": None}), DeleteKey("b")],
)
@example(pairs=[("a", int64(2**63 - 1))], app="v1", wanted=[PutKeys({"a": 1e22}), PutKeys({"a": -(2**63)})])
@example(pairs=[("a", int64(1))], app="v1", wanted=[ReplaceMetadata({"b": 2, "a": 3}), PutKeys({"a": None})])
def test_an_applied_event_leaves_what_a_load_would(
    loop: asyncio.AbstractEventLoop,
    make: str,
    pairs: list[tuple[str, Raw]],
    app: str | None,
    wanted: list[Command],
) -> None:
    old = endpoint("e", pairs, version=7, app=app)
    engine = holding(make, old)
    assume(engine.stats()["cache_entries"])
    made = planned(loop, decode_state(old), wanted)
    event(f"{len(made.events)} events")
    hear(engine, made)
    exact = [outgoing for outgoing in made.events if outgoing.base is not None]
    if len(exact) < len(made.events):
        # Another application version is told of by an event that drops the entry; what follows finds none.
        assert not engine.stats()["cache_entries"]
        return
    assert engine.stats()["events_applied"] == len(made.events)
    assert shown(engine) == shown(holding(make, stored(made.new)))
    assert engine.stats()["loads"] == 1


@each_engine
@given(metadata=foreign, version=st.sampled_from([int64(7), double(7.0), None]), wanted=several)
def test_whatever_was_stored_no_event_leaves_anything_else(
    loop: asyncio.AbstractEventLoop, make: str, metadata: Raw, version: Raw | None, wanted: list[Command]
) -> None:
    named = [("_id", text("e")), ("metadata", metadata)]
    old = document(named if version is None else [*named, ("version", version)])
    engine = holding(make, old)
    try:
        made = planned(loop, decode_state(old), wanted)
    except Unusable:
        assume(False)
    hear(engine, made)
    if engine.stats()["cache_entries"] and made.events:
        assert shown(engine) == shown(holding(make, stored(made.new)))
    assert version is not None or all(outgoing.base is None for outgoing in made.events[:1])
