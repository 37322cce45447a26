"""One batch's way through the stages."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from kaa_epr.log import get_logger
from kaa_epr.mongo import conditional
from kaa_epr.mongo.api import WriteOutcome, WriteUnconfirmed
from kaa_epr.mongo.errors import Effect, StoreError
from kaa_epr.mongo.raw_documents import by_id
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.nats.publisher import Publisher, PublishFailed
from kaa_epr.refusals import Refusal, Stored, Superseded, Unavailable, Unusable, store_unavailable
from kaa_epr.register.commit import writing
from kaa_epr.register.commit.contention import Contention
from kaa_epr.register.decide.planning import Author, Item, OnlyAt, Plan, plan
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.state import EndpointState, absent, decode_state
from kaa_epr.register.intake.commands import Import, Register, SetAppVersion
from kaa_epr.register.stats import Stats
from kaa_epr.slices import Slice

_log = get_logger(__name__)

STAGES: Final = ("read", "planned", "written", "published", "answered", "cleared")
"""What a batch has behind it, in order; ``Parts.on_stage`` is told."""


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """Bounds; times in seconds."""

    max_pending: int = 10_000
    """Commands on their way; a further one is refused at once."""
    batch_size: int = 1000
    """Endpoints in one batch."""
    max_batches: int = 4
    """Under way at once."""
    max_outbox: int = 64
    """Events in one endpoint's outbox: so many commands for it are carried out by one write."""
    store_timeout: float = 5.0
    """For each step with the store."""
    patience: float = 5.0
    """How long a contended endpoint is tried."""
    claim_expiry: float = 15.0
    """After this, another replica publishes what a claim's holder did not."""


@dataclass(slots=True)
class Parts:
    """What batches work with."""

    store: RegisterStore
    publisher: Publisher
    rules: Callable[[], Rules | Unavailable]
    """Those of the moment; a refusal while nothing can be changed."""
    replica_id: str
    limits: PipelineLimits = field(default_factory=PipelineLimits)
    stats: Stats = field(default_factory=Stats)
    contention: Contention = field(default_factory=Contention)
    on_stage: Callable[[str], None] = lambda _stage: None
    on_unpublished: Callable[[], None] = lambda: None
    """Called when an outbox waits for whoever sweeps."""


class Queue(Protocol):
    """Where commands go that a batch could not carry out."""

    def again(self, items: Sequence[Item], reason: str) -> None:
        """Their endpoint is being changed by somebody else: later, or refused for ``reason``."""

    def next_in_line(self, items: Sequence[Item]) -> None:
        """They found no room in their endpoint's outbox."""

    def published(self, endpoint_ids: Sequence[str], claim: conditional.Claim) -> None:
        """What these outboxes hold under ``claim`` was published, so they can be cleared."""


def no_events() -> Unavailable:
    """Nothing can be changed now."""
    return Unavailable("NATS is not connected, so no event could tell of a change", Stored.NO)


def new_claim(owner: str) -> conditional.Claim:
    """A claim on outboxes that nobody made before."""
    return conditional.Claim(owner, secrets.token_hex(12))


class Batch:
    """Commands for some endpoints."""

    def __init__(self, parts: Parts, queue: Queue, items: Mapping[str, list[Item]]) -> None:
        self._p = parts
        self._queue = queue
        self._items = items
        self._limits = parts.limits
        self._claim = new_claim(parts.replica_id)
        self.published: list[str] = []
        """Endpoints that were handed on to be cleared."""
        self.stored = Stored.NO
        """Of what is not settled yet, if nothing more is heard: perhaps, once the write has begun."""

    @property
    def endpoint_ids(self) -> AbstractSet[str]:
        """Whose commands these are."""
        return self._items.keys()

    async def run(self) -> None:
        """All stages; every command is settled or waits again afterwards."""
        try:
            documents = by_id(await self._p.store.current(list(self._items), self._limits.store_timeout))
        except StoreError:
            self.refuse(store_unavailable())
            return
        self._p.on_stage("read")
        plans = await self._plan(documents)
        idle = [made for made in plans if not made.events]
        writes = [made for made in plans if made.events]
        if not idle:
            # The usual case: a group of tasks costs as much as the planning.
            await self._carry_out(writes)
        else:
            await asyncio.gather(self._confirm(idle, documents), self._carry_out(writes))

    async def _confirm(self, plans: list[Plan], documents: Mapping[str, bytes]) -> None:
        """What changes nothing is answered once the majority has what it was judged by."""
        unchanged = [made.old.id for made in plans if made.has_success()]
        try:
            held = by_id(await self._p.store.read(unchanged, self._limits.store_timeout)) if unchanged else {}
        except StoreError:
            for made in plans:
                made.refuse(store_unavailable())
            return
        for made in plans:
            if made.has_success() and held.get(made.old.id) != documents.get(made.old.id):
                self._queue.again(made.items(), "The majority does not have the change before yet")
            else:
                made.settle()

    async def _carry_out(self, plans: list[Plan]) -> None:
        """What changes something."""
        if not plans:
            return
        self._p.on_stage("planned")
        begun = asyncio.get_running_loop().time()
        written = await self._write(plans)
        if not written:
            return
        self._p.on_stage("written")
        if not await self._publish(written, begun):
            return
        self._p.on_stage("published")
        work = Slice()
        for done in written:
            await work.give_way()
            done.settle()
        self._p.on_stage("answered")
        self.published = [done.old.id for done in written]
        self._queue.published(self.published, self._claim)

    async def _plan(self, documents: Mapping[str, bytes]) -> list[Plan]:
        """What is to be done for each endpoint that can be changed now."""
        rules = self._p.rules()
        if isinstance(rules, Unavailable):
            self.refuse(rules)
            return []
        author = _author(self._p.replica_id)
        plans = []
        work = Slice()
        for endpoint_id, items in self._items.items():
            await work.give_way()
            state = _decoded(endpoint_id, documents.get(endpoint_id))
            if isinstance(state, Unusable):
                for item in items:
                    item.resolve(Unusable())
                continue
            if state.pending:
                self._p.on_unpublished()
                self._queue.again(items, "Events of an earlier change are not published yet")
                continue
            late = [item for item in items if item.only_at not in (None, OnlyAt(state.version))]
            plans += self._plan_late(state, late, rules, author)
            timely = [item for item in items if item not in late] if late else items
            made = plan(state, timely, rules, author, self._limits.max_outbox)
            self._queue.next_in_line(made.left)
            plans.append(made)
        return plans

    def _plan_late(
        self, state: EndpointState, items: Sequence[Item], rules: Rules, author: Author
    ) -> list[Plan]:
        """Second tries that may only find that there is nothing left to be done."""
        plans = []
        for item in items:
            made = plan(state, [item], rules, author, 1)
            if made.events:
                item.resolve(Superseded())
            else:
                plans.append(made)
        return plans

    async def _write(self, plans: list[Plan]) -> list[Plan]:
        """The plans that are stored now; races wait again, what the server refused is told."""
        writes = []
        work = Slice()
        for made in plans:
            await work.give_way()
            writes.append(writing.change(made.old, made.new, made.events, self._claim))
        self.stored = Stored.UNKNOWN
        try:
            outcome = await self._p.store.write(writes, self._limits.store_timeout)
        except WriteUnconfirmed as error:
            written = self._without_failed(plans, error.outcome)
            self._leave_unknown(written, error)
            return []
        except StoreError as error:
            self._leave_unknown(plans, error)
            return []
        written = self._without_failed(plans, outcome)
        self._p.stats.changes += len(written)
        return written

    def _leave_unknown(self, plans: list[Plan], error: StoreError) -> None:
        """What is stored after all, the sweeper finds, and publishes its events."""
        if error.effect is not Effect.NONE:
            self._p.on_unpublished()
        for made in plans:
            refusal = writing.unavailable(error, made.old.version)
            for item, outcome in made.outcomes:
                # What the plan refused did nothing, whatever became of the others.
                item.resolve(store_unavailable() if isinstance(outcome, Refusal) else refusal)

    def _without_failed(self, plans: list[Plan], outcome: WriteOutcome) -> list[Plan]:
        """What the primary has now; the others are refused, or wait again."""
        failed = {failure.position: failure for failure in outcome.failures}
        for position, failure in failed.items():
            made = plans[position]
            if conditional.is_race(failure):
                self._p.stats.races += 1
                self._queue.again(made.items(), "Others keep changing the endpoint")
            elif conditional.is_taken_token(failure) and len(made.outcomes) > 1:
                self._single_out(made, writing.refusal(failure))
            else:
                made.refuse(writing.refusal(failure))
        return [made for position, made in enumerate(plans) if position not in failed]

    def _single_out(self, made: Plan, refusal: Refusal) -> None:
        """Refuses the commands that can bring a token into an application, and tries the others without."""
        for item in made.items():
            if isinstance(item.command, Register | SetAppVersion | Import):
                item.resolve(refusal)
        self._queue.again(made.items(), "Others keep changing the endpoint")

    async def _publish(self, written: list[Plan], begun: float) -> bool:
        events = [event for made in written for event in made.events]
        try:
            left = begun + self._limits.claim_expiry / 2 - asyncio.get_running_loop().time()
            await self._p.publisher.publish(events, left)
        except PublishFailed as error:
            _log.warning("events are left to be published later", error=str(error), events=len(events))
            self._p.stats.unpublished += len(written)
            self._p.on_unpublished()
            for made in written:
                pending = Unavailable("NATS did not confirm its event yet", Stored.YES, made.old.version)
                for item, outcome in made.outcomes:
                    item.resolve(outcome if isinstance(outcome, Refusal) else pending)
            return False
        self._p.stats.events += len(events)
        return True

    def refuse(self, refusal: Refusal) -> None:
        """Whatever is not settled yet."""
        for items in self._items.values():
            for item in items:
                item.resolve(refusal)


def _decoded(endpoint_id: str, raw: bytes | None) -> EndpointState | Unusable:
    try:
        return absent(endpoint_id) if raw is None else decode_state(raw)
    except Unusable as error:
        _log.error("stored endpoint is unusable", endpoint_id=endpoint_id)
        return error


def _author(replica_id: str) -> Author:
    wall_ms = time.time_ns() // 1_000_000
    now = datetime.fromtimestamp(wall_ms // 1000, UTC).replace(microsecond=wall_ms % 1000 * 1000, tzinfo=None)
    return Author(replica_id, now, wall_ms)
