"""Batch registrations: accepted at once, carried out in the background, by another replica if this one dies.

The task's document holds the endpoints with their IDs and tokens, fixed when it was accepted. An endpoint
that a task registered names the task, so whoever takes a task up again knows what is done already.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kaa_epr.log import Repeats, correlation, get_logger
from kaa_epr.mongo.errors import StoreError
from kaa_epr.refusals import Refusal, Unavailable, store_unavailable
from kaa_epr.register.decide.values import text_of
from kaa_epr.register.endpoints import Endpoints
from kaa_epr.register.intake.commands import Command, Register
from kaa_epr.register.stats import Stats
from kaa_epr.slices import Slice
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

MAX_ENDPOINTS: Final = 1000
"""Of one task."""
_INTERVAL: Final = 5.0
"""Seconds between looks for tasks that another replica left."""
_EXPIRY: Final = 60.0
"""Seconds after which a claim that was not renewed is another replica's to take."""
_RETRY: Final = 0.5
"""Seconds before endpoints are tried again that the store or NATS did not take."""


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """One item of a batch, its ID and token decided."""

    endpoint_id: str
    endpoint_token: str
    metadata: Mapping[str, Any]

    def stored(self) -> dict[str, Any]:
        """As the task's document has it."""
        items = [{"key": key, "value": value} for key, value in self.metadata.items()]
        return {"id": self.endpoint_id, "token": self.endpoint_token, "metadata": items}

    @classmethod
    def of_stored(cls, item: Mapping[str, Any]) -> NewEndpoint:
        """From the task's document."""
        return cls(item["id"], item["token"], {pair["key"]: pair["value"] for pair in item["metadata"]})


class BatchTasks:
    """Accepts tasks, and works on those that nobody works on."""

    def __init__(
        self,
        endpoints: Endpoints,
        owner: str,
        seconds: float,
        stats: Stats,
        supervisor: Supervisor | None = None,
    ) -> None:
        """``seconds``: for each step with the store."""
        self._endpoints = endpoints
        self._store = endpoints.store
        self._owner = owner
        self._stats = stats
        self._seconds = seconds
        self._kicked = asyncio.Event()
        self._work = (supervisor or Supervisor()).lasting("batch_tasks", self._run)
        self._repeats = Repeats()

    def start(self) -> None:
        """Begins looking for tasks."""
        self._work.start()

    async def stop(self) -> None:
        """Ends; an unfinished task is taken up again by whoever finds it."""
        await self._work.stop()

    async def accept(
        self,
        application: str,
        application_version: str,
        endpoints: Sequence[NewEndpoint],
        correlation_id: str,
    ) -> str:
        """Stores a task and returns its ID. Raises ``Unavailable``."""
        task_id = secrets.token_hex(16)
        document = {
            "_id": task_id,
            "application": application,
            "application_version": application_version,
            "correlation_id": correlation_id,
            "endpoints": [endpoint.stored() for endpoint in endpoints],
            "accepted_at": datetime.now(UTC),
        }
        try:
            await self._store.add_task(document, self._seconds)
        except StoreError:
            raise store_unavailable() from None
        self._stats.tasks[("accepted",)] += 1
        self._kicked.set()
        return task_id

    async def status(self, task_id: str, application: str) -> dict[str, Any] | None:
        """What came of a task, or None for an unknown one. Raises ``Unavailable``."""
        try:
            task = await self._store.task(task_id, self._seconds)
        except StoreError:
            raise store_unavailable() from None
        if task is None or task["application"] != application:
            return None
        finished = task["state"] == "done"
        failed = {item["position"]: item["reason"] for item in task.get("failed", ())}
        items = [NewEndpoint.of_stored(item) for item in task["endpoints"]] if finished else []
        return {
            "finished": finished,
            "createdCount": len(items) - len(failed),
            "failedCount": len(failed),
            "created": [
                {
                    "endpointToken": item.endpoint_token,
                    "endpointId": item.endpoint_id,
                    "metadata": item.metadata,
                }
                for position, item in enumerate(items)
                if position not in failed
            ],
            "failed": [
                {
                    "endpointToken": items[position].endpoint_token,
                    "endpointId": items[position].endpoint_id,
                    "metadata": text_of(items[position].metadata),
                    "status": "FAILED",
                    "statusReason": reason,
                }
                for position, reason in failed.items()
            ],
        }

    # --- work -----------------------------------------------------------------------------------------------
    async def _run(self) -> None:
        while True:
            try:
                while claimed := await self._store.claim_tasks(self._owner, _EXPIRY, 1, self._seconds):
                    self._stats.tasks[("taken",)] += 1
                    await self._carry_out(claimed[0])
            except StoreError as error:
                self._repeats.warning(_log, "batch tasks could not be worked on", error=str(error))
            self._work.well()
            try:
                async with asyncio.timeout(_INTERVAL):
                    await self._kicked.wait()
            except TimeoutError:
                continue
            self._kicked.clear()

    async def _carry_out(self, task: Mapping[str, Any]) -> None:
        items: list[NewEndpoint] = []
        positions: dict[str, int] = {}
        failed: dict[int, str] = {}
        work = Slice()
        for position, stored in enumerate(task["endpoints"]):
            await work.give_way()
            item = NewEndpoint.of_stored(stored)
            items.append(item)
            if positions.setdefault(item.endpoint_id, position) != position:
                failed[position] = "endpointId: twice in the batch"
        todo = dict(positions)
        with correlation(task["correlation_id"]):
            while todo:
                if not await self._store.renew_task(task["_id"], self._owner, self._seconds):
                    return
                todo = await self._attempt(task, items, todo, failed)
                if todo:
                    await asyncio.sleep(_RETRY)
            told = [{"position": position, "reason": reason} for position, reason in sorted(failed.items())]
            await self._store.finish_task(task["_id"], self._owner, told, self._seconds)
            self._stats.tasks[("done",)] += 1
            _log.info("batch task done", created=len(items) - len(failed), failed=len(failed))

    async def _attempt(
        self,
        task: Mapping[str, Any],
        items: Sequence[NewEndpoint],
        todo: Mapping[str, int],
        failed: dict[int, str],
    ) -> dict[str, int]:
        """Registers; notes what is refused for good, and returns what is to be tried again."""
        commands: dict[str, Command] = {
            endpoint_id: Register(
                task["application"],
                task["application_version"],
                items[position].endpoint_token,
                items[position].metadata,
                task=task["_id"],
            )
            for endpoint_id, position in todo.items()
        }
        outcomes = await self._endpoints.change_all(commands, task["correlation_id"])
        again: dict[str, int] = {}
        for endpoint_id, outcome in outcomes.items():
            if isinstance(outcome, Unavailable):
                again[endpoint_id] = todo[endpoint_id]
            elif isinstance(outcome, Refusal):
                failed[todo[endpoint_id]] = outcome.message()
        return again
