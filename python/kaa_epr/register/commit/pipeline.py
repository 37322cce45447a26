"""Changes in batches: read, plan, write with the events, publish, answer; outboxes are cleared behind that.

While no batch is under way and no command waits, a command leaves at once. Those that come while one is
under way gather: until they are ``ENOUGH`` for a batch of their own; once it has ended, until they are
``SOME`` or as long again has gone by; in any case no longer than ``GATHER`` seconds. A batch of one costs as
much as seven more in it, so where others want the processors too, gets above all, they wait longer and for
more: ``STRETCH``. Whoever writes alone, one after the other, does not wait. All commands for one endpoint
that gathered become one document write, in the order in which they came, so a hot endpoint costs one round
trip for many writers. An endpoint is in one batch at a time, and is not written while its outbox holds events
of an earlier change: so first publications are in the order of versions, whoever publishes.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from kaa_epr.log import get_logger
from kaa_epr.mongo.conditional import Claim
from kaa_epr.refusals import InternalError, Stored, Unavailable
from kaa_epr.register.commit.batch import Batch
from kaa_epr.register.commit.collaborators import Collaborators
from kaa_epr.register.commit.item import Item, outcome_of
from kaa_epr.register.decide.api import Outcome, Request
from kaa_epr.register.outbox.clearing import Clearing
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

ENOUGH: Final = 32
"""Endpoints with which a batch begins although another one is under way."""
SOME: Final = 16
"""Endpoints with which it begins once that has ended: its own costs are less than theirs then."""
GATHER: Final = 0.1
"""Seconds after which it begins with fewer, at the latest."""
STRETCH: Final = 4
"""A batch that waited for a processor as long as it ran makes the next wait so many times longer still."""
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1
"""Seconds before an endpoint that somebody else is changing is tried again: doubling, half of it random."""
_ENDING: Final = "The service is shutting down"


class Pipeline:
    """Takes commands with ``submit``."""

    def __init__(self, collaborators: Collaborators, supervisor: Supervisor | None = None) -> None:
        self._with = collaborators
        self._limits = collaborators.limits
        self._waiting: dict[str, deque[Item]] = {}
        self._ready: deque[str] = deque()
        self._tasks: dict[asyncio.Task[None], Batch] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._batches = 0
        self._bytes = 0
        """That the commands of the batches under way bring."""
        self._some: float = SOME
        """``SOME``, and more where processors are contended for."""
        self._gathering: asyncio.TimerHandle | None = None
        self._clearing = Clearing(collaborators, self._cleared, supervisor)
        self._closing = self._given_up = False
        self._held = False
        self.busy: set[str] = set()
        """Endpoints of the batches under way or not cleared yet; their outboxes are ours to publish."""

    # --- commands come --------------------------------------------------------------------------------------
    async def submit(self, endpoint_id: str, request: Request) -> Outcome:
        """Carries a command out; returns when the majority has the change and NATS its event.

        Raises a ``Refusal``. A caller that is cancelled does not undo what is on its way.
        """
        return await asyncio.shield(self.enqueue(endpoint_id, request))

    def enqueue(self, endpoint_id: str, request: Request) -> asyncio.Future[Outcome]:
        """As ``submit``, without waiting: all commands enqueued in one go make one batch."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        item = Item(endpoint_id, request, now + self._limits.patience, loop.create_future())
        refusal = self._refusal()
        if refusal is not None:
            item.future.add_done_callback(outcome_of)
            item.resolve(refusal)
        else:
            self._accept(item, now)
        return item.future

    def _refusal(self) -> Unavailable | None:
        """Why nothing more can be taken now."""
        if self._closing:
            return Unavailable(_ENDING, Stored.NO)
        if self._with.stats.pending >= self._limits.max_pending:
            self._with.stats.refuse("pending_changes")
            return Unavailable("Too many changes are waiting", Stored.NO)
        limit = self._with.event_limit()
        return limit if isinstance(limit, Unavailable) and not self._held else None

    def _accept(self, item: Item, now: float) -> None:
        self._with.stats.pending += 1
        item.future.add_done_callback(partial(self._one_less, item.request.command.kind, now))
        self._enter([item])
        if item.endpoint_id in self._clearing:
            self._clearing.hasten()
        elif self._has_room():
            # Not at once: what else this turn of the loop brings goes along.
            asyncio.get_running_loop().call_soon(self._start_batches)

    def _one_less(self, kind: str, begun: float, future: asyncio.Future[Outcome]) -> None:
        stats = self._with.stats
        stats.pending -= 1
        stats.ended(kind, outcome_of(future), asyncio.get_running_loop().time() - begun)

    def _enter(self, items: Iterable[Item], *, in_front: bool = False) -> None:
        for item in reversed(list(items)) if in_front else items:
            waiting = self._waiting.get(item.endpoint_id)
            if waiting is None:
                waiting = self._waiting[item.endpoint_id] = deque()
                if item.endpoint_id not in self.busy and item.endpoint_id not in self._timers:
                    self._ready.append(item.endpoint_id)
            (waiting.appendleft if in_front else waiting.append)(item)

    # --- batches leave --------------------------------------------------------------------------------------
    def _has_room(self) -> bool:
        """Whether another batch may begin."""
        limits = self._limits
        return self._batches < limits.max_batches and self._bytes < 2 * limits.batch_bytes

    def _start_batches(self, *, overdue: bool = False) -> None:
        while self._ready and self._has_room() and not self._held:
            wanted = ENOUGH if self._batches else self._some if self._gathering else 1
            if len(self._ready) < wanted and not overdue:
                break
            self._begin_batch()
        self._gather()

    def _begin_batch(self) -> None:
        batch: dict[str, list[Item]] = {}
        weight = 0
        while self._ready and len(batch) < self._limits.batch_size and weight < self._limits.batch_bytes:
            endpoint_id = self._ready.popleft()
            items = batch[endpoint_id] = list(self._waiting.pop(endpoint_id))
            weight += sum(item.request.command.weight for item in items)
        self.busy.update(batch)
        if not self._batches:
            self._with.contention.begin()
        self._batches += 1
        self._bytes += weight
        made = Batch(self._with, self, batch)
        task = asyncio.get_running_loop().create_task(self._run(made, weight))
        self._tasks[task] = made
        task.add_done_callback(self._tasks.pop)

    def _gather(self) -> None:
        """What is ready and may begin, waits no longer than ``GATHER``."""
        gathering = self._ready and self._has_room() and not self._held
        if gathering and self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(GATHER, self._overdue)
        elif not gathering and self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def _last_ended(self, took: float) -> None:
        """No batch is under way any more: who waits, does so about as long again as that one took."""
        stretch = 1 + STRETCH * (self._with.contention.end() - 1)
        self._some = min(ENOUGH, SOME * stretch)
        loop = asyncio.get_running_loop()
        latest = loop.time() + took * stretch
        if self._gathering is not None and self._gathering.when() > latest:
            self._gathering.cancel()
            self._gathering = loop.call_at(latest, self._overdue)

    def _overdue(self) -> None:
        self._gathering = None
        self._start_batches(overdue=True)

    async def _run(self, made: Batch, weight: int) -> None:
        begun = asyncio.get_running_loop().time()
        try:
            await made.run()
        except Exception:  # noqa: BLE001 - the outermost boundary of a batch: nobody may be left waiting
            _log.exception("a batch of changes met a bug")
            made.refuse(InternalError())
            self._with.unpublished.set()
        finally:
            self._batches -= 1
            self._bytes -= weight
            # The others were, or will be, released once they are cleared, and may be in another batch by now.
            self._release(made.endpoint_ids - set(made.published))
            if not self._batches:
                self._last_ended(asyncio.get_running_loop().time() - begun)
            self._start_batches()

    def _release(self, endpoint_ids: Iterable[str]) -> None:
        for endpoint_id in endpoint_ids:
            self.busy.discard(endpoint_id)
            if endpoint_id in self._waiting and endpoint_id not in self._timers:
                self._ready.append(endpoint_id)

    def published(self, endpoint_ids: Sequence[str], claim: Claim) -> None:
        """Their outboxes can be cleared; they are released then."""
        self._clearing.add(endpoint_ids, claim)
        if any(endpoint_id in self._waiting for endpoint_id in endpoint_ids):
            self._clearing.hasten()

    def _cleared(self, endpoint_ids: Iterable[str]) -> None:
        self._release(endpoint_ids)
        self._start_batches()

    def again(self, items: Sequence[Item], reason: str) -> None:
        """Commands whose endpoint somebody else is changing: later, unless their patience is over."""
        loop = asyncio.get_running_loop()
        left = [item for item in items if not item.future.done()]
        for item in left:
            item.attempts += 1
            if loop.time() >= item.deadline:
                self._with.stats.refuse("contention")
                item.resolve(Unavailable(reason, Stored.NO))
        left = [item for item in left if not item.future.done()]
        if not left:
            return
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(left[0].attempts - 1, 16))
        endpoint_id = left[0].endpoint_id
        self._timers[endpoint_id] = loop.call_later(
            pause * (0.5 + random.random() / 2),  # noqa: S311 spreads replicas, guards nothing
            self._wake,
            endpoint_id,
        )
        self._enter(left, in_front=True)

    def _wake(self, endpoint_id: str) -> None:
        del self._timers[endpoint_id]
        if endpoint_id in self._waiting and endpoint_id not in self.busy:
            self._ready.append(endpoint_id)
            self._start_batches()

    def next_in_line(self, items: Sequence[Item]) -> None:
        """Commands that found no room in their endpoint's outbox."""
        self._enter(items, in_front=True)

    # --- one session takes another's place ------------------------------------------------------------------
    async def hold(self, seconds: float) -> bool:
        """Commands gather and no batch begins; whether those that had begun were carried out in time."""
        self._held = True
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
        return not self._tasks

    def go_on(self) -> None:
        """Batches begin again."""
        self._held = False
        self._start_batches()

    # --- end ------------------------------------------------------------------------------------------------
    async def drain(self, seconds: float) -> bool:
        """Takes no more commands, and ends those under way; False when time was up first."""
        self._closing = True
        self.go_on()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (self._tasks or self._waiting) and (left := deadline - loop.time()) > 0:
            if self._tasks:
                await asyncio.wait(set(self._tasks), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(min(left, _LONGEST_PAUSE))
        clean = await self._clearing.drain(deadline - loop.time()) and not (self._tasks or self._waiting)
        self.give_up()
        return clean and not self._given_up

    def give_up(self) -> None:
        """There is no time for what waits and what is under way: each is told what became of it."""
        self._closing = True
        self._given_up |= bool(self._waiting or self._tasks)
        for timer in self._timers.values():
            timer.cancel()
        for item in (item for items in self._waiting.values() for item in items):
            item.resolve(Unavailable(_ENDING, Stored.NO))
        self._waiting.clear()
        self._ready.clear()
        self._gather()
        for task, made in self._tasks.items():
            task.cancel()
            made.refuse(Unavailable(_ENDING, made.stored))
