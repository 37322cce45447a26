"""A task's way through the register: each of its endpoints is registered once, whoever works on it how often.

Before the first is registered, the versions that the endpoints have are noted in the task. From then on it is
carried out on these versions only. An endpoint that has another one was registered by this task before, which
its document says, or was changed by somebody since, and is left alone. So a replica that takes a task over,
and one that was paused and goes on beside it, do nothing twice, not even to what was deleted meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kaa_epr.backoff import jittered
from kaa_epr.log import get_logger
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.refusals import Refusal, Stored, Unavailable, WriteRefused
from kaa_epr.register.batches.records import Failed, TaskRecord, ValueOf
from kaa_epr.register.decide.api import OnlyAt, Outcome, Request
from kaa_epr.register.endpoints import Endpoints, Registration
from kaa_epr.slices import Slice

_log = get_logger(__name__)

PORTION: Final = 500
"""Endpoints between two notes of a task's progress."""
PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
"""Seconds before endpoints are tried again that store or NATS did not take: doubling, half of it random."""
MOST_ATTEMPTS: Final = 3000
"""Then what is left is given up: about a day."""
MOST_WRITES: Final = 5
"""How often an endpoint is tried whose write the store refuses for a reason that nobody knows."""
MOST_TAKEN: Final = 20
"""How often a task is taken up; one that ends whoever works on it must not do so for ever."""


class Work:
    """Carries one task out, which ``owner`` has claimed."""

    def __init__(
        self,
        endpoints: Endpoints,
        owner: str,
        seconds: float,
        task: TaskRecord,
        value_of: ValueOf,
        too_old: float,
    ) -> None:
        """``too_old``: seconds after which tombstones may be gone that tell what was deleted meanwhile."""
        self._endpoints = endpoints
        self._store: RegisterStore = endpoints.store
        self._owner = owner
        self._seconds = seconds
        self._task = task
        self._value_of = value_of
        self._too_old = too_old
        self._settled = task.settled
        self._attempts = task.attempts
        self.failed: dict[int, str] = {each.position: each.reason for each in task.failed}
        """Reasons by position."""
        self._refused: Counter[int] = Counter()

    @property
    def created(self) -> int:
        """Of a task that has ended: endpoints that are registered."""
        return len(self._task.items) - len(self.failed)

    async def carry_out(self) -> bool:
        """Until nothing is left to be done; False when the task is somebody else's now. Raises StoreError."""
        task = self._task
        if task.taken > MOST_TAKEN:
            return await self.give_up(f"The batch was taken up {MOST_TAKEN} times and never ended")
        if task.age > self._too_old:
            return await self.give_up(
                "The batch was interrupted for so long that it may have been done before"
            )
        versions = task.versions or await self._look()
        if versions is None:
            return False
        self._refuse_repeated()
        for begin in range(self._settled, len(task.items), PORTION):
            end = min(begin + PORTION, len(task.items))
            if not await self._settle(range(begin, end), versions):
                return False
            if end < len(task.items) and not await self._note(end):
                return False
        return await self._finish()

    async def _note(self, settled: int) -> bool:
        self._settled, self._attempts = settled, 0
        return await self._store.note_progress(
            self._task.id, self._owner, settled, self._told(), self._seconds
        )

    async def give_up(self, reason: str) -> bool:
        """Refuses what is not settled."""
        for position in range(self._settled, len(self._task.items)):
            self.failed.setdefault(position, reason)
        return await self._finish()

    async def _finish(self) -> bool:
        return await self._store.finish_task(self._task.id, self._owner, self._told(), self._seconds)

    def _told(self) -> list[dict[str, Any]]:
        return [Failed(*each).stored() for each in sorted(self.failed.items())]

    # --- before the first -----------------------------------------------------------------------------------
    async def _look(self) -> tuple[int | None, ...] | None:
        """The versions of the endpoints before any of them was registered, noted; None: not ours any more."""
        task = self._task
        ids = [task.endpoint_id(position) for position in range(len(task.items))]
        found = await self._store.versions(ids, self._seconds)
        versions = tuple(version_number(found.get(endpoint_id)) for endpoint_id in ids)
        noted = await self._store.begin_task(task.id, self._owner, versions, self._seconds)
        return versions if noted else None

    def _refuse_repeated(self) -> None:
        seen: set[str] = set()
        for position in range(len(self._task.items)):
            endpoint_id = self._task.endpoint_id(position)
            if endpoint_id in seen:
                self.failed[position] = "endpointId: twice in the batch"
            seen.add(endpoint_id)

    # --- one portion ----------------------------------------------------------------------------------------
    async def _settle(self, positions: Sequence[int], versions: Sequence[int | None]) -> bool:
        left = [position for position in positions if position not in self.failed]
        while left:
            unavailable = await self._attempt(left, versions)
            left = list(unavailable)
            if not left:
                break
            self._attempts += 1
            if self._attempts >= MOST_ATTEMPTS:
                self.failed |= {position: refusal.message() for position, refusal in unavailable.items()}
                break
            await asyncio.sleep(jittered(PAUSE, LONGEST_PAUSE, self._attempts))
            if not await self._store.renew_task(self._task.id, self._owner, self._seconds):
                return False
        return True

    async def _attempt(
        self, positions: Sequence[int], versions: Sequence[int | None]
    ) -> dict[int, Unavailable]:
        """Registers; notes what is refused for good, and returns what is to be tried again."""
        task = self._task
        requests: dict[str, Request] = {}
        work = Slice()
        for position in positions:
            await work.give_way()
            item = task.endpoint(position, self._value_of)
            metadata = item.metadata.items()
            new = Registration(task.application, task.application_version, item.endpoint_token, metadata)
            command = new.command(self._endpoints.planner, task.id)
            only_at = OnlyAt(versions[position])
            requests[item.endpoint_id] = Request(command, task.correlation_id, only_at=only_at)
        outcomes = await self._endpoints.change_all(requests)
        return self._judge(dict(zip(positions, outcomes.values(), strict=True)))

    def _judge(self, outcomes: Mapping[int, Outcome | Refusal]) -> dict[int, Unavailable]:
        again: dict[int, Unavailable] = {}
        for position, outcome in outcomes.items():
            if isinstance(outcome, WriteRefused):
                self._refused[position] += 1
                if self._refused[position] >= MOST_WRITES:
                    self.failed[position] = outcome.message()
                    continue
            if isinstance(outcome, Unavailable):
                # What is stored is done: its event follows by itself.
                if outcome.stored is not Stored.YES:
                    again[position] = outcome
            elif isinstance(outcome, Refusal):
                self.failed[position] = outcome.message()
        return again


def version_number(version: object) -> int | None:
    """As the register reads it; what it cannot read is no endpoint that a batch could register."""
    if isinstance(version, int | float) and not isinstance(version, bool) and version == int(version):
        return int(version)
    return None
