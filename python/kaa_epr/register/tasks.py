"""Batch registrations: accepted at once, carried out in the background, by another replica if one dies."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from weakref import WeakSet

from kaa_epr.log import Repeats, correlation, get_logger
from kaa_epr.mongo.errors import StoreError
from kaa_epr.refusals import InternalError, Stored, Unavailable, store_unavailable
from kaa_epr.register.batches.records import NewEndpoint, TaskRecord, TaskUnusable, ValueOf, new_document
from kaa_epr.register.batches.telling import status_text
from kaa_epr.register.batches.working import Work
from kaa_epr.register.commit import writing
from kaa_epr.register.endpoints import Endpoints
from kaa_epr.register.pieces import Told
from kaa_epr.register.stats import Stats
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

MAX_ENDPOINTS: Final = 1000
"""Of one task."""
MAX_TOLD: Final = 16
"""Statuses on their way to clients; each holds its task, 16 MiB at most."""
_INTERVAL: Final = 5.0
"""Seconds between looks for tasks that another replica left."""
_EXPIRY: Final = 60.0
"""Seconds after which a claim that was not renewed is another replica's to take."""


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Bounds of ``BatchTasks``."""

    total: int = 1000
    """Tasks that are not finished; replicas that accept some at the same moment may exceed it by those."""
    per_application: int = 250
    retention: float = 0.0
    """Seconds for which tombstones are kept; 0: for ever."""


class BatchTasks:
    """Accepts tasks, and works on those that nobody works on."""

    def __init__(
        self,
        endpoints: Endpoints,
        value_of: ValueOf,
        owner: str,
        seconds: float,
        stats: Stats,
        limits: TaskLimits | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        """``value_of``: the intake's; ``seconds``: for each step with the store."""
        self._endpoints = endpoints
        self._value_of = value_of
        self._store = endpoints.store
        self._owner = owner
        self._stats = stats
        self._seconds = seconds
        self._limits = limits or TaskLimits()
        self._told: WeakSet[Told] = WeakSet()
        self._kicked = asyncio.Event()
        supervisor = supervisor or Supervisor()
        self._work = supervisor.lasting("batch_tasks", self._run)
        self._pieces = supervisor.passing("batch_task")
        self._repeats = Repeats()

    def start(self) -> None:
        """Begins looking for tasks."""
        self._work.start()

    async def stop(self) -> None:
        """Ends; an unfinished task is taken up again by whoever finds it."""
        await self._work.stop()
        await self._pieces.stop()

    async def accept(
        self,
        application: str,
        application_version: str,
        endpoints: Sequence[NewEndpoint],
        correlation_id: str,
        task_id: str | None = None,
    ) -> str:
        """Stores a task and returns its ID, a new one by default. Raises ``TooLarge`` or ``Unavailable``."""
        task_id = task_id or secrets.token_hex(16)
        document = await new_document(task_id, application, application_version, endpoints, correlation_id)
        await self._require_room(application)
        try:
            await self._store.add_task({**document, "accepted_at": datetime.now(UTC)}, self._seconds)
        except StoreError as error:
            raise writing.unavailable(error) from None
        self._stats.tasks[("accepted",)] += 1
        self._kicked.set()
        return task_id

    async def _require_room(self, application: str) -> None:
        try:
            mine, all_ = await self._store.open_tasks(application, self._seconds)
        except StoreError:
            raise store_unavailable() from None
        if mine >= self._limits.per_application or all_ >= self._limits.total:
            self._stats.refuse("batch_tasks")
            whose = "of the application " if mine >= self._limits.per_application else ""
            raise Unavailable(f"Too many batch registrations {whose}are waiting", Stored.NO)

    async def is_known(self, task_id: str) -> bool:
        """Whether there is such a task. Raises ``Unavailable``."""
        try:
            return await self._store.task(task_id, self._seconds) is not None
        except StoreError:
            raise store_unavailable() from None

    async def status(self, task_id: str, application: str) -> AsyncIterator[bytes] | None:
        """What came of a task, as JSON text, or None for an unknown one. Raises ``Unavailable``."""
        if len(self._told) >= MAX_TOLD:
            self._stats.refuse("lists")
            raise Unavailable("Too many batch registrations are asked about", Stored.NO)
        try:
            document = await self._store.task(task_id, self._seconds)
        except StoreError:
            raise store_unavailable() from None
        if document is None:
            return None
        try:
            task = TaskRecord.of_stored(document)
        except TaskUnusable as error:
            self._repeats.warning(_log, "a document among the tasks is none", error=str(error))
            return None
        if task.application != application:
            return None
        told = Told(status_text(task, self._value_of))
        self._told.add(told)
        return told

    # --- work -----------------------------------------------------------------------------------------------
    async def _run(self) -> None:
        while True:
            try:
                while claimed := await self._store.claim_task(self._owner, _EXPIRY, self._seconds):
                    self._stats.tasks[("taken",)] += 1
                    await self._carry_out(claimed)
            except StoreError as error:
                self._repeats.warning(_log, "batch tasks could not be worked on", error=str(error))
            self._work.well()
            try:
                async with asyncio.timeout(_INTERVAL):
                    await self._kicked.wait()
            except TimeoutError:
                continue
            self._kicked.clear()

    async def _carry_out(self, claimed: Mapping[str, Any]) -> None:
        try:
            task = TaskRecord.of_stored(claimed)
        except TaskUnusable as error:
            await self._set_aside(claimed["_id"], error)
            return
        too_old = self._limits.retention / 2 if self._limits.retention else float("inf")
        work = Work(self._endpoints, self._owner, self._seconds, task, self._value_of, too_old)
        with correlation(task.correlation_id):
            # In a task of its own: a bug in it ends it, and no other.
            piece = self._pieces.run(self._end(work))
            await asyncio.wait({piece})
            if not piece.cancelled() and piece.exception() is not None:
                self._stats.tasks[("failed",)] += 1
                self._tell(work, ended=await work.give_up(InternalError().message()))

    async def _end(self, work: Work) -> None:
        try:
            ended = await work.carry_out()
        except StoreError as error:
            self._repeats.warning(_log, "a batch task could not be worked on", error=str(error))
        else:
            self._tell(work, ended=ended)

    def _tell(self, work: Work, *, ended: bool) -> None:
        if ended:
            self._stats.tasks[("done",)] += 1
            _log.info("batch task done", created=work.created, failed=len(work.failed))

    async def _set_aside(self, task_id: Any, error: TaskUnusable) -> None:
        self._stats.tasks[("unusable",)] += 1
        _log.error("a document among the tasks is none, and is set aside", error=str(error))
        await self._store.set_task_aside(task_id, self._owner, self._seconds)
