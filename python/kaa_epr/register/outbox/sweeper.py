"""Publishes what was written and not published: by a crash, a lost connection, a store that did not answer.

Looks at the few documents that have an outbox, when told to and every ``interval``. Only outboxes that this
replica left, or whose claim has expired by MongoDB's clock, are taken; taking one over is a conditional
write, so of several replicas one publishes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

from bson.errors import BSONError

from kaa_epr.log import Repeats, get_logger
from kaa_epr.messages.outgoing import OutgoingEvent
from kaa_epr.mongo import conditional
from kaa_epr.mongo.errors import StoreError
from kaa_epr.mongo.register_api import Outbox
from kaa_epr.nats.publisher import PublishFailed
from kaa_epr.refusals import Unavailable
from kaa_epr.register.commit.collaborators import Collaborators, new_claim
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

INTERVAL: Final = 1.0
"""Seconds between looks when nothing calls for one."""
_BATCH: Final = 256
"""Outboxes published together."""
_PAUSE: Final = 0.05
"""Seconds at least between two looks, however often somebody calls."""


_Readable = tuple[Outbox, list[OutgoingEvent]]


class Sweeper:
    """One background task; ``kick`` when an outbox is known to wait."""

    def __init__(
        self,
        collaborators: Collaborators,
        busy: Collection[str],
        supervisor: Supervisor | None = None,
        interval: float = INTERVAL,
    ) -> None:
        """``busy``: endpoints whose outboxes a batch of ours is about to publish itself."""
        self._with = collaborators
        self._busy = busy
        self._interval = interval
        self._kicked = collaborators.unpublished
        self._work = (supervisor or Supervisor()).lasting("sweeper", self._run)
        self._repeats = Repeats()
        self._counted = float("-inf")
        self._skip = 0

    def start(self) -> None:
        """Begins looking."""
        self._work.start()

    def kick(self) -> None:
        """Look soon."""
        self._kicked.set()

    async def stop(self) -> None:
        """Ends; what is left unpublished another replica finds."""
        await self._work.stop()

    async def _run(self) -> None:
        while True:
            try:
                while await self.sweep() == _BATCH:
                    pass
                await self._count()
            except (StoreError, PublishFailed) as error:
                self._repeats.warning(_log, "outboxes could not be swept", error=str(error))
            self._work.well()
            await asyncio.sleep(_PAUSE)
            await self._wait()

    async def _count(self) -> None:
        """What metrics tell, however often there is a look."""
        now = asyncio.get_running_loop().time()
        if now - self._counted >= self._interval:
            self._counted = now
            stats, limits = self._with.stats, self._with.limits
            stats.outboxes, stats.oldest_outbox = await self._with.store.backlog(limits.store_timeout)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._interval):
                await self._kicked.wait()
        except TimeoutError:
            return
        self._kicked.clear()

    async def sweep(self) -> int:
        """Publishes one batch of outboxes; how many were found. Raises StoreError or PublishFailed."""
        p = self._with
        most = p.event_limit()
        if isinstance(most, Unavailable):
            return 0
        found = await self._look()
        wanted = [outbox for outbox in found if outbox.endpoint_id not in self._busy]
        readable = [(outbox, self._events(outbox)) for outbox in wanted]
        # What NATS takes no more stays, and its endpoint as it is, until NATS takes it again.
        fitting = [each for each in readable if self._fits(*each, most)]
        begun = asyncio.get_running_loop().time()
        claim = new_claim(p.replica_id)
        taken = await self._take_over(fitting, claim)
        # Where all of them stay, others may wait behind them.
        self._skip = self._skip + len(found) if len(found) == _BATCH and not taken else 0
        if not taken:
            return 0
        events = [event for _, its in taken for event in its]
        left = begun + p.limits.claim_expiry / 2 - asyncio.get_running_loop().time()
        await p.publisher.publish(events, left)
        ids = [outbox.endpoint_id for outbox, _ in taken]
        await p.store.clear_outboxes(ids, [claim], p.limits.store_timeout)
        p.stats.republished += len(events)
        p.stats.taken_over += sum(outbox.owner != p.replica_id for outbox, _ in taken)
        _log.info("published what was left behind", endpoints=len(taken), events=len(events))
        return len(found)

    async def _look(self) -> list[Outbox]:
        store, seconds = self._with.store, self._with.limits.store_timeout
        found = await self._found()
        broken = [outbox.endpoint_id for outbox in found if outbox.claim_broken]
        removed = await store.remove_broken_claims(broken, seconds) if broken else 0
        if not removed:
            return found
        self._repeats.warning(_log, "removed what stood in the place of a claim", endpoints=removed)
        return await self._found()

    async def _found(self) -> list[Outbox]:
        p, limits = self._with, self._with.limits
        return await p.store.outboxes(
            p.replica_id, limits.claim_expiry, _BATCH, limits.store_timeout, self._skip
        )

    async def _take_over(self, outboxes: Sequence[_Readable], claim: conditional.Claim) -> list[_Readable]:
        if not outboxes:
            return []
        p = self._with
        writes = [conditional.take_over(o.endpoint_id, o.claim, claim) for o, _ in outboxes]
        outcome = await p.store.write(writes, p.limits.store_timeout)
        lost = {failure.position for failure in outcome.failures}
        return [each for position, each in enumerate(outboxes) if position not in lost]

    def _events(self, outbox: Outbox) -> list[OutgoingEvent]:
        """Those that can be read. The others are not ours: dropped, or nothing could follow them ever."""
        events = []
        for item in outbox.events:
            try:
                events.append(OutgoingEvent.of_stored(item))
            except (KeyError, TypeError, ValueError, OverflowError, BSONError) as error:
                self._with.stats.unreadable += 1
                self._repeats.warning(
                    _log,
                    "an event in an outbox is unreadable and dropped",
                    endpoint_id=outbox.endpoint_id,
                    kind=type(error).__name__,
                )
        return events

    def _fits(self, outbox: Outbox, events: Sequence[OutgoingEvent], most: int) -> bool:
        size = max((len(event.payload) for event in events), default=0)
        if size > most:
            self._repeats.warning(
                _log, "an event is larger than NATS takes", endpoint_id=outbox.endpoint_id, bytes=size
            )
        return size <= most
