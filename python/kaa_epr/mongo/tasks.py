"""Batch tasks: one document each, beside the endpoints, in the collection ``<collection>.tasks``.

A task is claimed by the replica that works on it; a claim that is not renewed expires by the server's clock.
Finished tasks are forgotten by an index of MongoDB's own (TTL).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import IndexModel, ReturnDocument

from kaa_epr.mongo.client import BoundedClient

KEEP_SECONDS: Final = 24 * 3600
"""How long the outcome of a task can be asked for."""
_OPEN: Final = "open"
_DONE: Final = "done"


class TaskQueries(BoundedClient):
    """Tasks of the register; see ``kaa_epr.mongo.register_api``."""

    @property
    def _tasks(self) -> Any:
        return self._database.get_collection(f"{self._name}.tasks")

    async def ensure_tasks(self, time_limit: float) -> None:
        """Makes the indexes."""
        finished = IndexModel("finished_at", name="finished_at", expireAfterSeconds=KEEP_SECONDS)
        claim = IndexModel("claim.at", name="claim", partialFilterExpression={"state": _OPEN})

        async def create() -> None:
            await self._tasks.create_indexes([finished, claim])

        await self._limited(create, "create the indexes of tasks", time_limit)

    async def add_task(self, task: Mapping[str, Any], time_limit: float) -> None:
        """Stores an open task, unclaimed."""

        async def insert() -> None:
            await self._tasks.insert_one({**task, "state": _OPEN})

        await self._limited(insert, "store a task", time_limit)

    async def task(self, task_id: str, time_limit: float) -> dict[str, Any] | None:
        """One task."""

        async def find() -> dict[str, Any] | None:
            found: dict[str, Any] | None = await self._tasks.find_one({"_id": task_id})
            return found

        return await self._limited(find, "read a task", time_limit)

    async def claim_tasks(
        self, owner: str, expiry: float, limit: int, time_limit: float
    ) -> list[dict[str, Any]]:
        """Claims open tasks that nobody works on."""
        expired = {"$lt": ["$claim.at", {"$subtract": ["$$NOW", round(expiry * 1000)]}]}
        query = {"state": _OPEN, "$or": [{"claim.at": None}, {"$expr": expired}]}
        update = {"$set": {"claim.by": owner}, "$currentDate": {"claim.at": True}}

        async def claim() -> list[dict[str, Any]]:
            claimed: list[dict[str, Any]] = []
            while len(claimed) < limit:
                task = await self._tasks.find_one_and_update(
                    query, update, sort=[("claim.at", 1)], return_document=ReturnDocument.AFTER
                )
                if task is None:
                    break
                claimed.append(task)
            return claimed

        return await self._limited(claim, "claim tasks", time_limit)

    async def renew_task(self, task_id: str, owner: str, time_limit: float) -> bool:
        """Keeps a claim alive."""
        return await self._update_task(
            task_id, owner, {"$currentDate": {"claim.at": True}}, "renew a task", time_limit
        )

    async def finish_task(
        self, task_id: str, owner: str, failed: Sequence[Mapping[str, Any]], time_limit: float
    ) -> bool:
        """Closes a task; ``failed`` tells what did not become an endpoint, all else did."""
        update = {
            "$set": {"state": _DONE, "failed": [dict(item) for item in failed]},
            "$unset": {"claim": ""},
            "$currentDate": {"finished_at": True},
        }
        return await self._update_task(task_id, owner, update, "finish a task", time_limit)

    async def _update_task(
        self, task_id: str, owner: str, update: Mapping[str, Any], operation: str, time_limit: float
    ) -> bool:
        async def write() -> bool:
            result = await self._tasks.update_one({"_id": task_id, "claim.by": owner}, update)
            return bool(result.matched_count)

        return await self._limited(write, operation, time_limit)
