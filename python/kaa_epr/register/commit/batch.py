"""One batch's way through the stages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

from kaa_epr.clock import wall_ms
from kaa_epr.log import get_logger
from kaa_epr.mongo import conditional
from kaa_epr.mongo.api import WriteOutcome, WriteUnconfirmed
from kaa_epr.mongo.errors import Effect, StoreError
from kaa_epr.mongo.raw_documents import by_id
from kaa_epr.nats.publisher import PublishFailed
from kaa_epr.refusals import Refusal, Stored, Unavailable, Unusable, store_unavailable
from kaa_epr.register.commit import writing
from kaa_epr.register.commit.collaborators import Collaborators, new_claim
from kaa_epr.register.commit.item import Item
from kaa_epr.register.commit.plans import Drawing, Plan
from kaa_epr.register.decide.api import Author, PlanLimits, Status
from kaa_epr.slices import Slice

_log = get_logger(__name__)

_BRINGING_TOKENS: Final = frozenset({"register", "set_app_version", "import"})
"""Kinds of commands by which a token can come into an application."""


class Queue(Protocol):
    """Where commands go that a batch could not carry out."""

    def again(self, items: Sequence[Item], reason: str) -> None:
        """Their endpoint is being changed by somebody else: later, or refused for ``reason``."""

    def next_in_line(self, items: Sequence[Item]) -> None:
        """They found no room in their endpoint's outbox."""

    def published(self, endpoint_ids: Sequence[str], claim: conditional.Claim) -> None:
        """What these outboxes hold under ``claim`` was published, so they can be cleared."""


class Batch:
    """Commands for some endpoints."""

    def __init__(self, collaborators: Collaborators, queue: Queue, items: Mapping[str, list[Item]]) -> None:
        self._with = collaborators
        self._queue = queue
        self._items = items
        self._limits = collaborators.limits
        self._claim = new_claim(collaborators.replica_id)
        self.published: list[str] = []
        """Endpoints that were handed on to be cleared."""
        self._old: frozenset[str] = frozenset()
        """Endpoints whose documents were not read, and may be others by now."""
        self.stored = Stored.NO
        """Of what is not settled yet, if nothing more is heard: perhaps, once the write has begun."""

    @property
    def endpoint_ids(self) -> AbstractSet[str]:
        """Whose commands these are."""
        return self._items.keys()

    async def run(self) -> None:
        """All stages; every command is settled or waits again afterwards."""
        try:
            documents = await self._read()
        except StoreError:
            self.refuse(store_unavailable())
            return
        self._with.on_stage("read")
        plans = await self._plan(documents)
        idle = [plan for plan in plans if not plan.planned.events]
        writes = [plan for plan in plans if plan.planned.events]
        if not idle:
            # The usual case: a group of tasks costs as much as the planning.
            await self._carry_out(writes)
        else:
            await asyncio.gather(self._confirm(idle), self._carry_out(writes))

    async def _read(self) -> Mapping[str, bytes]:
        """What is stored, or was when it was written last. Raises StoreError."""
        documents = self._with.remembered.take(self._items)
        self._old = frozenset(documents)
        unknown = [endpoint_id for endpoint_id in self._items if endpoint_id not in documents]
        if unknown:
            documents |= by_id(await self._with.store.current(unknown, self._limits.store_timeout))
        return documents

    async def _plan(self, documents: Mapping[str, bytes]) -> list[Plan]:
        """What is to be done for each endpoint that can be changed now."""
        most = self._with.event_limit()
        if isinstance(most, Unavailable):
            self.refuse(most)
            return []
        planner = self._with.planner
        limits = PlanLimits(most, self._limits.max_outbox, planner.slice_work)
        drawing = Drawing(planner, Author(self._with.replica_id, wall_ms()), self._claim, limits)
        return [plan async for plan in drawing.plans(self._items, documents) if self._is_planned(plan)]

    def _is_planned(self, plan: Plan) -> bool:
        """Whether anything is to be done; commands that cannot be looked at are sent away."""
        match plan.planned.status:
            case Status.PENDING:
                self._with.unpublished.set()
                self._queue.again(plan.left, "Events of an earlier change are not published yet")
                return False
            case Status.UNUSABLE:
                _log.error("stored endpoint is unusable", endpoint_id=plan.endpoint_id)
                for item in plan.left:
                    item.resolve(Unusable())
                return False
            case Status.PLANNED:
                self._queue.next_in_line(plan.left)
                return True

    async def _confirm(self, plans: list[Plan]) -> None:
        """What changes nothing is answered once the majority has what it was judged by."""
        plans = [plan for plan in plans if plan.has_success() or not self._is_stale(plan)]
        unchanged = [plan.endpoint_id for plan in plans if plan.has_success()]
        try:
            seconds = self._limits.store_timeout
            held = by_id(await self._with.store.read(unchanged, seconds)) if unchanged else {}
        except StoreError:
            for plan in plans:
                plan.refuse(store_unavailable())
            return
        for plan in plans:
            if plan.has_success() and held.get(plan.endpoint_id) != plan.planned.document:
                if not self._is_stale(plan):
                    self._queue.again(plan.items, "The majority does not have the change before yet")
                continue
            plan.settle()
            if plan.has_success():
                self._keep(plan)

    async def _carry_out(self, plans: list[Plan]) -> None:
        """What changes something."""
        if not plans:
            return
        self._with.on_stage("planned")
        begun = asyncio.get_running_loop().time()
        written = await self._write(plans)
        if not written:
            return
        self._with.on_stage("written")
        if not await self._publish(written, begun):
            return
        self._with.on_stage("published")
        work = Slice()
        for plan in written:
            await work.give_way()
            plan.settle()
            # Nobody takes it before its outbox is cleared, as the next write demands.
            self._keep(plan)
        self._with.on_stage("answered")
        self.published = [plan.endpoint_id for plan in written]
        self._queue.published(self.published, self._claim)

    async def _write(self, plans: list[Plan]) -> list[Plan]:
        """The plans that are stored now; races wait again, what the server refused is told."""
        self.stored = Stored.UNKNOWN
        statements = [plan.statement for plan in plans]
        try:
            outcome = await self._with.store.upsert(statements, self._limits.store_timeout)
        except WriteUnconfirmed as error:
            written = self._without_failed(plans, error.outcome)
            self._leave_unknown(written, error)
            return []
        except StoreError as error:
            self._leave_unknown(plans, error)
            return []
        written = self._without_failed(plans, outcome)
        self._with.stats.changes += len(written)
        return written

    def _leave_unknown(self, plans: list[Plan], error: StoreError) -> None:
        """What is stored after all, the sweeper finds, and publishes its events."""
        if error.effect is not Effect.NONE:
            self._with.unpublished.set()
        for plan in plans:
            plan.leave(writing.unavailable(error, plan.planned.before), store_unavailable())

    def _without_failed(self, plans: list[Plan], outcome: WriteOutcome) -> list[Plan]:
        """What the primary has now; the others are refused, or wait again."""
        failed = {failure.position: failure for failure in outcome.failures}
        for position, failure in failed.items():
            plan = plans[position]
            if conditional.is_race(failure):
                if not self._is_stale(plan):
                    self._with.stats.races += 1
                    self._queue.again(plan.items, "Others keep changing the endpoint")
            elif conditional.is_taken_token(failure) and len(plan.items) > 1:
                self._single_out(plan, writing.refusal(failure))
            else:
                plan.refuse(writing.refusal(failure))
        return [plan for position, plan in enumerate(plans) if position not in failed]

    def _single_out(self, plan: Plan, refusal: Refusal) -> None:
        """Refuses the commands that can bring a token into an application, and tries the others without."""
        for item in plan.items:
            if item.request.command.kind in _BRINGING_TOKENS:
                item.resolve(refusal)
        self._queue.again(plan.items, "Others keep changing the endpoint")

    async def _publish(self, written: list[Plan], begun: float) -> bool:
        events = [event for plan in written for event in plan.planned.events]
        try:
            left = begun + self._limits.claim_expiry / 2 - asyncio.get_running_loop().time()
            await self._with.publisher.publish(events, left)
        except PublishFailed as error:
            _log.warning("events are left to be published later", error=str(error), events=len(events))
            self._with.stats.unpublished += len(written)
            self._with.unpublished.set()
            for plan in written:
                reason = "NATS did not confirm its event yet"
                plan.leave(Unavailable(reason, Stored.YES, plan.planned.before))
            return False
        self._with.stats.events += len(events)
        return True

    def _keep(self, plan: Plan) -> None:
        """The majority has the document."""
        document = plan.planned.document
        if document is not None and (plan.planned.events or plan.planned.before is not None):
            self._with.remembered.keep(plan.endpoint_id, document)

    def _is_stale(self, plan: Plan) -> bool:
        """Whether it was made of a document that was not read; then it is made anew, of one that is."""
        if plan.endpoint_id not in self._old:
            return False
        self._with.stats.outdated += 1
        self._queue.next_in_line(plan.items)
        return True

    def refuse(self, refusal: Refusal) -> None:
        """Whatever is not settled yet."""
        for items in self._items.values():
            for item in items:
                item.resolve(refusal)
