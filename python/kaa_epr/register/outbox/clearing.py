"""Takes published events out of their outboxes, those of several batches together.

A batch is answered before its outboxes are empty, so nobody waits for this, and it gathers for ``GATHER``
seconds. But an endpoint is not changed again before it is cleared: a command for one of them ends the wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final

from kaa_epr.log import get_logger
from kaa_epr.mongo import conditional
from kaa_epr.mongo.errors import StoreError
from kaa_epr.register.commit.collaborators import Collaborators
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

GATHER: Final = 0.1
"""Seconds."""


class Clearing:
    """One statement at a time; it holds at most the endpoints of the batches that ended meanwhile."""

    def __init__(
        self,
        collaborators: Collaborators,
        done: Callable[[Collection[str]], None],
        supervisor: Supervisor | None = None,
    ) -> None:
        """``done`` is told which endpoints may be changed again, whether they were cleared or not."""
        self._with = collaborators
        self._done = done
        self._waiting: dict[str, conditional.Claim] = {}
        self._under_way: frozenset[str] = frozenset()
        self._timer: asyncio.TimerHandle | None = None
        self._work = (supervisor or Supervisor()).passing("clearing")
        self._task: asyncio.Task[None] | None = None
        self._in_haste = False

    def __contains__(self, endpoint_id: object) -> bool:
        return endpoint_id in self._waiting or endpoint_id in self._under_way

    def add(self, ids: Sequence[str], claim: conditional.Claim) -> None:
        """Events of these endpoints were published under ``claim``."""
        self._waiting.update(dict.fromkeys(ids, claim))
        if self._timer is None and self._task is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER, self._begin)

    def hasten(self) -> None:
        """Somebody waits."""
        if self._task is not None:
            self._in_haste = True
        elif self._waiting:
            self._begin()

    async def drain(self, seconds: float) -> bool:
        """Clears what there is; False when time was up first. Then it will be published once more."""
        self.hasten()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self._task is not None and loop.time() < deadline:
            await asyncio.wait({self._task}, timeout=deadline - loop.time())
            self.hasten()
        if self._timer is not None:
            self._timer.cancel()
        return self._task is None

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._in_haste = False
        self._under_way = frozenset(self._waiting)
        claims = frozenset(self._waiting.values())
        self._waiting = {}
        self._task = self._work.run(self._clear(claims))
        self._task.add_done_callback(self._ended)

    async def _clear(self, claims: Collection[conditional.Claim]) -> None:
        ids, seconds = list(self._under_way), self._with.limits.store_timeout
        try:
            await self._with.store.clear_outboxes(ids, list(claims), seconds)
        except StoreError as error:
            # They will be published once more.
            _log.warning("published events could not be taken out of their outboxes", error=str(error))
            self._with.remembered.forget(ids)
            self._with.unpublished.set()
        else:
            self._with.on_stage("cleared")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        ids, self._under_way = self._under_way, frozenset()
        if task.cancelled() or task.exception() is not None:
            # As if the store had not answered: they will be published once more.
            self._with.remembered.forget(ids)
            self._with.unpublished.set()
        if self._in_haste and self._waiting:
            self._begin()
        elif self._waiting:
            self._timer = asyncio.get_running_loop().call_later(GATHER, self._begin)
        self._done(ids)
