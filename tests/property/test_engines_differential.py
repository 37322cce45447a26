"""Both engines give the same bytes and the same verdicts for every input, good or bad."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from kaa_epr.engine import select
from kaa_epr.engine.api import Engine, EngineConfig, FlushCause, Kind
from tests.property.diffs import diffs, exact_headers, texts_of
from tests.property.documents import NULL, any_document, document, endpoint, int64, text
from tests.property.messages import (
    EVENTS,
    Get,
    any_event,
    any_request,
    app_versions,
    block,
    blocks,
    event_payload,
    keys,
    keys_get,
    mutations,
)
from tests.property.support import MONO, RUST, WALL, answers, ask, load, needs_rust, started

pytestmark = needs_rust

NOT_COMPARED = {"cache_bytes", "cache_entries", "unknown_bytes", "unknown_entries", "pending_bytes", "epoch"}
"""Gauges that say how an engine keeps things, not what it answers."""


def compared(engine: Engine) -> dict[str, Any]:
    """Everything in the statistics that has a meaning outside the engine."""
    return {name: value for name, value in engine.stats().items() if name not in NOT_COMPARED}


@given(request=any_request())
def test_the_same_verdict_on_every_request(request: tuple[Kind, bytes]) -> None:
    kind, payload = request
    engines = [started(name, default_revision=2) for name in ("pure", "rust")]
    wires = [ask(engine, payload, kind=kind) for engine in engines]
    assert wires[0] == wires[1]
    loads = [engine.begin_load(10, MONO) for engine in engines]
    assert loads[0] == loads[1]
    assert compared(engines[0]) == compared(engines[1])


@given(stored=any_document(st.just("e")), include=blocks(), flag=st.none() | st.booleans())
def test_the_same_answer_from_every_document(
    stored: bytes, include: tuple[tuple[str, ...], tuple[bytes, ...]], flag: bool | None
) -> None:
    get = Get(endpoint_id="e", include=include[0], blocks=include[1], flag=flag).encode()
    engines = [started(name) for name in ("pure", "rust")]
    for engine in engines:
        ask(engine, get)
    wires = [load(engine, stored) for engine in engines]
    assert wires[0] == wires[1]
    assert compared(engines[0]) == compared(engines[1])
    assert ask(engines[0], get) == ask(engines[1], get)
    for kind, request in ((Kind.KEYS_GET, keys_get("e")), (Kind.APP_VERSIONS, app_versions([block(["e"])]))):
        assert ask(engines[0], request, kind=kind) == ask(engines[1], request, kind=kind)


@given(event=any_event(st.just("e")), headers=st.binary(max_size=30))
def test_the_same_effect_of_every_event(event: tuple[Kind, bytes], headers: bytes) -> None:
    engines = [started(name) for name in ("pure", "rust")]
    kind, payload = event
    for engine in engines:
        ask(engine, Get(endpoint_id="e").encode())
        load(engine, endpoint("e", []))
        engine.event(kind, headers, payload, MONO)
    assert compared(engines[0]) == compared(engines[1])
    get = Get(endpoint_id="e").encode()
    assert ask(engines[0], get) == ask(engines[1], get)


@given(stored=any_document(st.just("e")), version=st.sampled_from([1, 7, 8]), data=st.data())
def test_the_same_entry_after_every_diff(stored: bytes, version: int, data: st.DataObject) -> None:
    engines = [started(name) for name in ("pure", "rust")]
    get = Get(endpoint_id="e").encode()
    for engine in engines:
        ask(engine, get)
    [answer] = answers(load(engines[0], stored))
    load(engines[1], stored)
    fields = texts_of(answer["payload"] or b"{}")
    etag = int((answer["eTag"] or '"0"').strip('"'))
    payload = data.draw(diffs(fields, answer["appVersionName"])).encode("e")
    if not data.draw(st.integers(0, 4)):
        payload = data.draw(mutations(st.just(payload)))
    headers = exact_headers(etag, data.draw(st.sampled_from([etag + 1, etag + 1, etag, version])))
    for engine in engines:
        engine.event(Kind.METADATA_UPDATED, headers, payload, MONO)
    assert compared(engines[0]) == compared(engines[1])
    for kind, request in ((Kind.GET, get), (Kind.KEYS_GET, keys_get("e"))):
        assert ask(engines[0], request, kind=kind) == ask(engines[1], request, kind=kind)


HEADER_LINES = st.sampled_from(
    [
        b"NATS/1.0\r\n",
        b"NATS/1.0 503\r\n",
        b"traceparent: 00-ab-cd-01\r\n",
        b"TraceParent:x\r\n",
        b"traceparent:\r\n",
        b"Kaa-Epr-Version: 7\r\n",
        b"kaa-epr-version:\r\n",
        b"Kaa-Epr-Base: +6\r\n",
        b"\r\n",
        b"\n",
        b"a: b\n",
        b": x\r\n",
        b"traceparent : x\r\n",
        b"\xff\xfe\r\n",
    ]
)
header_blocks = st.lists(HEADER_LINES | st.binary(max_size=6), max_size=5).map(b"".join)


@given(block=header_blocks)
def test_the_same_reading_of_every_header_block(block: bytes) -> None:
    engines = [started(name) for name in ("pure", "rust")]
    get = Get(endpoint_id="e").encode()
    wires = []
    for engine in engines:
        engine.event(Kind.REGISTERED, block, event_payload(Kind.REGISTERED, "e"), MONO)
        ask(engine, get, headers=block)
        wires.append(load(engine, endpoint("e", [])) + ask(engine, get, headers=block))
    assert wires[0] == wires[1]
    assert compared(engines[0]) == compared(engines[1])


IDS = ("a", "b", "é-3")
ids = st.sampled_from(IDS)
CONFIG = EngineConfig(
    cache_max_age_ms=10_000,
    unknown_max_age_ms=4_000,
    max_pending=12,
    store_timeout_ms=700,
    max_held_bytes=700,
    held_max_age_ms=900,
    settle_ms=250,
    foreign_settle_ms=500,
    default_revision=2,
)
# Ages are jittered by up to a tenth, in each engine by its own hash: time passes in steps that land between.
LUCK = st.integers(0, 7)
"""Zero, once in a while: what voids everything must leave something to happen between."""
STEPS = (0, 1, 250, 450, 2_100, 4_200, 10_300)


STORED = st.sampled_from(
    [
        lambda endpoint_id: [],
        lambda endpoint_id: [endpoint(endpoint_id, [("a", text("1")), ("b", NULL)], version=1)],
        lambda endpoint_id: [endpoint(endpoint_id, [("a", text("2"))], version=2, app="v2")],
        lambda endpoint_id: [endpoint(endpoint_id, [("b", text("x" * 300))], version=3, app=None)],
        lambda endpoint_id: [endpoint(endpoint_id, []), endpoint(endpoint_id, [], version=9), b"\5\0\0\0\0"],
        lambda endpoint_id: [document([("_id", text(endpoint_id)), ("deleted_at", text("now"))])],
        lambda endpoint_id: [document([("_id", text(endpoint_id)), ("metadata", text("bad"))])],
        lambda endpoint_id: [b"\4\0\0\0\0"],
    ]
)
"""What the store may have for an endpoint; the last cannot be cut off the batch."""


class Twins(RuleBasedStateMachine):
    """Drives both engines through the same script and compares everything that can be seen."""

    loads = Bundle("loads")

    def __init__(self) -> None:
        super().__init__()
        self.engines = [select("pure", CONFIG), select("rust", CONFIG)]
        self.wall, self.mono = WALL, MONO
        self.up = False
        self.replies = 0
        self.told = 0
        self.newest = dict.fromkeys(IDS, 3)
        """Per endpoint, a version that no event has told more than."""
        self.aged = 0

    def both(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls both engines; their results, which must agree."""
        results = [getattr(engine, method)(*args, **kwargs) for engine in self.engines]
        assert results[0] == results[1], (method, results)
        return results[0]

    def now(self) -> dict[str, int]:
        """The two clocks."""
        return {"wall_ms": self.wall, "mono_ms": self.mono}

    @initialize(headers=st.booleans(), cluster=st.sampled_from([False, False, False, True]))
    def connect(self, headers: bool, cluster: bool) -> None:
        self.link_up(2_000, headers, cluster)
        self.both("ears", True, self.mono)

    @rule(
        endpoint_id=ids,
        include=st.lists(keys, max_size=2),
        flag=st.sampled_from([None, True, True, False]),
        timeout=st.sampled_from([0, 0, 0, 300, 1_000]),
        fresh=st.sampled_from([False, False, False, True]),
        headers=st.just(b"") | header_blocks,
        with_reply=st.integers(0, 9),
    )
    def get(
        self,
        endpoint_id: str,
        include: list[str],
        flag: bool | None,
        timeout: int,
        fresh: bool,
        headers: bytes,
        with_reply: int,
    ) -> None:
        self.replies += 1
        request = Get(f"c{self.replies}", self.wall, timeout, endpoint_id, tuple(include), flag)
        reply = f"r{self.replies}" if with_reply else ""
        self.both("get", reply, headers, request.encode(), fresh=fresh, **self.now())

    @rule(
        endpoint_id=ids,
        timeout=st.sampled_from([0, 0, 300]),
        fresh=st.sampled_from([False, False, False, True]),
        headers=st.just(b"") | header_blocks,
    )
    def keys_get(self, endpoint_id: str, timeout: int, fresh: bool, headers: bytes) -> None:
        self.replies += 1
        request = keys_get(endpoint_id, f"c{self.replies}", self.wall, timeout)
        about: dict[str, Any] = {"kind": Kind.KEYS_GET, "fresh": fresh, **self.now()}
        self.both("get", f"r{self.replies}", headers, request, **about)

    @rule(
        names=st.lists(ids | st.sampled_from(["other", ""]), max_size=4),
        timeout=st.sampled_from([0, 0, 300]),
        fresh=st.sampled_from([False, False, False, True]),
        headers=st.just(b"") | header_blocks,
    )
    def app_versions(self, names: list[str], timeout: int, fresh: bool, headers: bytes) -> None:
        self.replies += 1
        named = [block(names)] if names else []
        request = app_versions(named, f"c{self.replies}", self.wall, timeout)
        about: dict[str, Any] = {"kind": Kind.APP_VERSIONS, "fresh": fresh, **self.now()}
        self.both("get", f"r{self.replies}", headers, request, **about)

    @rule(request=any_request())
    def bad_request(self, request: tuple[Kind, bytes]) -> None:
        self.both("get", "bad", b"", request[1], kind=request[0], fresh=False, **self.now())

    @rule(
        event=st.one_of(
            st.tuples(st.sampled_from((*EVENTS, Kind.HEARTBEAT)), ids).map(
                lambda e: (e[0], event_payload(*e))
            ),
            any_event(ids),
        ),
        headers=st.sampled_from([b"", b"NATS/1.0\r\nKaa-Epr-Version: 3\r\n\r\n"]),
    )
    def event(self, event: tuple[Kind, bytes], headers: bytes) -> None:
        self.both("event", event[0], headers, event[1], self.mono)

    @rule(endpoint_id=ids, older=st.sampled_from([0, 0, 0, 1]), app=st.sampled_from(["v1", None]))
    def settle(self, endpoint_id: str, older: int, app: str | None) -> None:
        """What mostly happens: a get, and a load for all who wait, new enough or not."""
        self.both("get", "settle", b"", Get(endpoint_id=endpoint_id).encode(), fresh=False, **self.now())
        begun = self.both("begin_load", 3, self.mono)
        if begun is not None:
            pairs = [("a", text("é")), ("b", int64(older)), ("c", NULL)]
            found = [endpoint(each, pairs, self.newest.get(each, 3) - older, app) for each in begun[1]]
            self.both("end_load", begun[0], found, **self.now())

    @rule(
        endpoint_id=ids,
        data=st.data(),
        jump=st.sampled_from([1, 1, 1, 1, 0, 2]),
        base=st.sampled_from([0, 0, 0, 0, -1, 1, None]),
        ahead=st.sampled_from([1, 1, 1, 0, 2]),
    )
    def diff_event(
        self, endpoint_id: str, data: st.DataObject, jump: int, base: int | None, ahead: int
    ) -> None:
        """An event with a whole diff, mostly exact against what a get shows now."""
        self.settle(endpoint_id, 0, "v1")
        self.both("take_output")
        self.both("get", "probe", b"", Get(endpoint_id=endpoint_id).encode(), fresh=False, **self.now())
        shown = [answer for answer in answers(self.both("take_output")) if answer["eTag"]] if self.up else []
        etag = int(shown[0]["eTag"].strip('"')) if shown else 1
        fields, app = (texts_of(shown[0]["payload"]), shown[0]["appVersionName"]) if shown else ({}, None)
        diff = data.draw(diffs(fields, app))
        self.told += jump
        headers = exact_headers(None if base is None else etag + base, etag + ahead, self.told)
        self.newest[endpoint_id] = max(self.newest[endpoint_id], etag + ahead)
        self.both("event", Kind.METADATA_UPDATED, headers, diff.encode(endpoint_id), self.mono)

    @rule(target=loads, max_ids=st.integers(0, 3))
    def begin(self, max_ids: int) -> tuple[int, list[str]] | None:
        begun: tuple[int, list[str]] | None = self.both("begin_load", max_ids, self.mono)
        return begun

    @rule(load=loads, data=st.data())
    def end(self, load: tuple[int, list[str]] | None, data: st.DataObject) -> None:
        if load is None:
            return
        found = []
        for endpoint_id in data.draw(st.permutations(load[1])):
            found += data.draw(STORED)(endpoint_id)
        cut = data.draw(st.integers(0, len(found)))
        self.end_or_fail("end_load", load[0], [b"".join(found[:cut]), b"".join(found[cut:])])

    @rule(load=loads)
    def fail(self, load: tuple[int, list[str]] | None) -> None:
        if load is not None:
            self.end_or_fail("fail_load", load[0])

    def end_or_fail(self, method: str, load: int, *args: Any) -> None:
        """Ends a load in both; a load that has ended before is a ValueError in both."""
        outcomes = []
        for engine in self.engines:
            try:
                outcomes.append(getattr(engine, method)(load, *args, **self.now()))
            except ValueError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]

    @rule(step=st.sampled_from(STEPS))
    def time_passes(self, step: int) -> None:
        self.wall += step
        self.mono += step

    @rule()
    def tick(self) -> None:
        self.both("tick", **self.now())

    @rule(cause=st.sampled_from(FlushCause), luck=LUCK)
    def flush(self, cause: FlushCause, luck: int) -> None:
        if luck == 0:
            self.both("flush", cause)

    @rule(up=st.sampled_from([True, True, False]))
    def store(self, up: bool) -> None:
        self.both("store_up", up, **self.now())

    @precondition(lambda self: self.up)
    @rule(hearing=st.sampled_from([True, True, True, True, False]))
    def ears(self, hearing: bool) -> None:
        self.both("ears", hearing, self.mono)

    @rule(luck=LUCK)
    def link_down(self, luck: int) -> None:
        if luck == 0:
            self.both("link_down")
            self.up = False

    @rule(
        luck=LUCK,
        max_payload=st.sampled_from([2_000, 400, 130]),
        headers=st.booleans(),
        cluster=st.sampled_from([False, False, True]),
    )
    def connect_again(self, luck: int, max_payload: int, headers: bool, cluster: bool) -> None:
        """Also without a word of the old connection's end; its subscriptions are confirmed, or not yet."""
        if luck == 0 or not self.up:
            self.link_up(max_payload, headers, cluster)
            self.both("ears", luck < 6, self.mono)

    def link_up(self, max_payload: int, headers: bool, cluster: bool) -> None:
        self.both("link_up", max_payload=max_payload, headers=headers, cluster=cluster, **self.now())
        self.up = True

    @invariant()
    def nothing_tells_them_apart(self) -> None:
        self.both("take_output")
        assert compared(self.engines[0]) == compared(self.engines[1])
        self.both("pending")
        assert self.both("take_bugs") == []


TestTwins = pytest.mark.skipif(not RUST, reason="the extension is not built")(Twins.TestCase)


@given(timeout=st.integers(-5, 5), age=st.integers(-10, 10))
def test_the_same_edge_of_expiry(timeout: int, age: int) -> None:
    get = replace(Get(), timestamp=WALL - age, timeout=timeout).encode()
    engines = [started(name) for name in ("pure", "rust")]
    for engine in engines:
        ask(engine, get)
    assert compared(engines[0]) == compared(engines[1])
