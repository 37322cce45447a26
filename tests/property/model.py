"""A naive model of what a get may be answered with.

It knows the store's history and which of it must have been read for every get: the get's *floor*. It says
nothing of how an engine gets there.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from kaa_epr.engine import select
from kaa_epr.engine.api import EngineConfig, FlushCause, Kind
from kaa_epr.engine.pure.limits import MAX_RELOADS
from tests.property.diffs import Diff, exact_headers
from tests.property.documents import Raw, document, endpoint, int64, text
from tests.property.messages import EVENTS, Get, event_payload
from tests.property.support import MONO, WALL, frames, response

IDS = ("a", "b")
OURS = b"NATS/1.0\r\nKaa-Epr-Version: -1\r\n\r\n"
"""A floor that every load reaches: floors have their own tests (``rust/core/tests``)."""
DELETED = Raw(8, b"\x01")
ids = st.sampled_from(IDS)
LUCK = st.integers(0, 7)
"""Zero, once in a while."""


class Model(RuleBasedStateMachine):
    """A store, a channel of events, and one engine between them and its clients."""

    engine_name = "pure"

    def __init__(self) -> None:
        super().__init__()
        self.engine = select(self.engine_name, EngineConfig(store_timeout_ms=10**9))  # type: ignore[arg-type]
        self.history: dict[str, list[bool]] = {name: [False] for name in IDS}
        """Per endpoint, by version: whether it exists."""
        self.floor = dict.fromkeys(IDS, 0)
        self.events: list[tuple[str, int]] = []
        self.loads: dict[int, dict[str, int]] = {}
        self.waiting: dict[str, tuple[str, int]] = {}
        self.may_fail: set[str] = set()
        self.asked = self.told = 0
        self.up = self.hearing = False

    def now(self, name: str) -> int:
        """The store's version of an endpoint."""
        return len(self.history[name]) - 1

    def all_before_is_void(self) -> None:
        """Whoever asks from now on must not be answered from before."""
        self.floor = {name: self.now(name) for name in IDS}

    def judge(self, wire: bytes) -> None:
        """Every answer is to somebody who waits, and not from before its floor."""
        for frame in frames(wire):
            name, floor = self.waiting.pop(frame.subject)
            answer = response(frame.payload)
            possible = self.history[name][floor:]
            if answer["statusCode"] == 200:
                version = int(answer["eTag"].strip('"'))
                assert floor <= version <= self.now(name)
                assert answer["payload"] == b'{"n":%d}' % version
            elif answer["statusCode"] == 404:
                assert False in possible
            else:
                assert frame.subject in self.may_fail or self.gave_up_reloading()

    def gave_up_reloading(self) -> bool:
        """Whether loads returned less than exact events had told so often that gets may have got a 503."""
        stale = self.engine.stats()["stale_loads"]
        assert isinstance(stale, int)
        return stale > MAX_RELOADS

    @initialize()
    def connect(self) -> None:
        self.link_up()
        self.confirm()

    @rule(name=ids, exists=st.sampled_from([True, True, False]))
    def write(self, name: str, exists: bool) -> None:
        self.history[name].append(exists)
        if self.hearing:
            self.events.append((name, self.now(name)))

    @precondition(lambda self: self.events)
    @rule(
        kind=st.sampled_from(EVENTS),
        ours=st.booleans(),
    )
    def event(self, kind: Kind, ours: bool) -> None:
        name, version = self.events.pop(0)
        self.engine.event(kind, OURS if ours else b"", event_payload(kind, name), MONO)
        self.floor[name] = max(self.floor[name], version)

    @precondition(lambda self: self.events)
    @rule()
    def exact_event(self) -> None:
        """One that can be applied, unless the endpoint came or went."""
        name, version = self.events[0]
        if not all(self.history[name][version - 1 : version + 1]):
            self.event(Kind.UNREGISTERED, True)
            return
        self.events.pop(0)
        self.told += 1
        diff = Diff(updated=[("n", (str(version), str(version - 1)))])
        headers = exact_headers(version - 1, version, self.told)
        self.engine.event(Kind.METADATA_UPDATED, headers, diff.encode(name), MONO)
        self.floor[name] = max(self.floor[name], version)

    @rule(name=ids, fresh=st.sampled_from([False, False, False, True]))
    def get(self, name: str, fresh: bool) -> None:
        self.asked += 1
        reply = f"r{self.asked}"
        self.waiting[reply] = (name, self.floor[name] if self.hearing and not fresh else self.now(name))
        get = Get(endpoint_id=name, timestamp=WALL).encode()
        self.engine.get(reply, b"", get, fresh=fresh, wall_ms=WALL, mono_ms=MONO)

    @rule(max_ids=st.integers(1, 2))
    def begin(self, max_ids: int) -> None:
        begun = self.engine.begin_load(max_ids, MONO + 5_000)
        if begun is not None:
            self.loads[begun[0]] = {name: self.now(name) for name in begun[1]}

    @precondition(lambda self: self.loads)
    @rule(data=st.data(), late=st.booleans())
    def end(self, data: st.DataObject, late: bool) -> None:
        """The store has read at any time between begin and end; here at one of the two."""
        number = data.draw(st.sampled_from(sorted(self.loads)))
        self.finish(number, late=late)

    def finish(self, number: int, *, late: bool) -> None:
        """Ends a load with what the store had."""
        read = {name: self.now(name) if late else old for name, old in self.loads.pop(number).items()}
        found = [
            endpoint(name, [("n", int64(version))], version)
            if self.history[name][version]
            else document([("_id", text(name)), ("version", int64(version)), ("deleted_at", DELETED)])
            for name, version in read.items()
        ]
        assert self.engine.end_load(number, [b"".join(found)], wall_ms=WALL, mono_ms=MONO) == []

    def finish_first(self, late: bool) -> None:
        """Ends the oldest load."""
        self.finish(min(self.loads), late=late)

    def finish_last(self) -> None:
        """Ends the youngest load."""
        self.finish(max(self.loads), late=True)

    @precondition(lambda self: self.loads)
    @rule(data=st.data(), luck=LUCK)
    def fail(self, data: st.DataObject, luck: int) -> None:
        if luck:
            return
        number = data.draw(st.sampled_from(sorted(self.loads)))
        names = self.loads.pop(number)
        self.may_fail |= {reply for reply, (name, _) in self.waiting.items() if name in names}
        self.engine.fail_load(number, wall_ms=WALL, mono_ms=MONO)

    @rule(name=ids)
    def settle(self, name: str) -> None:
        """What mostly happens: a get, and a load for all who wait."""
        self.get(name, fresh=False)
        self.begin(2)
        for number in list(self.loads):
            self.finish(number, late=True)

    @rule(name=ids, exists=st.sampled_from([True, True, False]), ours=st.sampled_from([True, False, None]))
    def update(self, name: str, exists: bool, ours: bool | None) -> None:
        """A write whose event (None: an exact one), and those before it, come at once."""
        self.write(name, exists)
        while self.events:
            if ours is None:
                self.exact_event()
            else:
                self.event(Kind.METADATA_UPDATED, ours)

    @rule(what=st.sampled_from(["flush", "deafen", "link_down", "link_up"]), luck=LUCK)
    def disturb(self, what: str, luck: int) -> None:
        """What happens now and then."""
        if luck == 0 and (self.hearing or what in ("flush", "link_up")):
            getattr(self, what)()

    def flush(self) -> None:
        self.engine.flush(FlushCause.OPERATOR)
        self.all_before_is_void()

    @precondition(lambda self: self.up and not self.hearing)
    @rule()
    def confirm(self) -> None:
        self.engine.ears(True, MONO)
        self.hearing = True
        self.all_before_is_void()

    def deafen(self) -> None:
        self.engine.ears(False, MONO)
        self.hearing = False
        self.events.clear()

    def link_down(self) -> None:
        self.engine.link_down()
        self.up = self.hearing = False
        self.events.clear()

    def link_up(self) -> None:
        """Also without a word of the old connection's end."""
        self.up, self.hearing = True, False
        self.events.clear()
        self.judge(
            self.engine.link_up(max_payload=10**6, headers=True, cluster=False, wall_ms=WALL, mono_ms=MONO)
        )

    @invariant()
    def answers_are_right(self) -> None:
        wire = self.engine.take_output()
        assert self.up or wire == b""
        self.judge(wire)

    def teardown(self) -> None:
        """Everybody is answered once, in the end."""
        while True:
            self.begin(2)
            if not self.loads:
                break
            self.finish(min(self.loads), late=True)
        self.judge(self.engine.take_output())
        self.link_up()
        assert self.waiting == {}
        assert self.engine.pending() == 0
