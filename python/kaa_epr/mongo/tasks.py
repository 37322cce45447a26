"""Batch tasks: one document each, beside the endpoints, in the collection ``<collection>.tasks``.

A task is claimed by the replica that works on it; a claim that is not renewed expires by the server's clock.
Finished tasks are forgotten by an index of MongoDB's own (TTL). Documents are read raw, and decoded one field
at a time by whoever knows what they should be: one that is no task of ours costs nobody else anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from pymongo import IndexModel, ReturnDocument

from kaa_epr.mongo.client import BoundedClient
from kaa_epr.mongo.handle import MAJORITY
from kaa_epr.mongo.lenient import LENIENT
from kaa_epr.mongo.reply import first_batch

KEEP_SECONDS: Final = 24 * 3600
"""How long the outcome of a task can be asked for."""
OPEN: Final = "open"
DONE: Final = "done"
SET_ASIDE: Final = "unusable"
"""Of documents that say that they are open tasks, and are none."""
_STATES: Final = (OPEN, DONE)
_NOW: Final = {"claim.at": True}
_CLAIMABLE: Final = [
    {"$or": [{name: {"$exists": False}}, {name: {"$type": kind}}]}
    for name, kind in (("claim", "object"), ("taken", "number"))
]
"""Documents that the claim below can change: one that it cannot would keep everybody from all others."""


class TaskQueries(BoundedClient):
    """Tasks of the register; see ``kaa_epr.mongo.register_api``."""

    @property
    def _tasks(self) -> Any:
        return self._database.get_collection(f"{self._name}.tasks", codec_options=LENIENT)

    async def ensure_tasks(self, time_limit: float) -> None:
        """Makes the indexes."""
        finished = IndexModel("finished_at", name="finished_at", expireAfterSeconds=KEEP_SECONDS)
        claim = IndexModel("claim.at", name="claim", partialFilterExpression={"state": OPEN})
        # So that counting reads no documents, which may have 16 MiB each.
        waiting = IndexModel(["state", "application"], name="waiting")

        async def create() -> None:
            await self._tasks.create_indexes([finished, claim, waiting])

        await self._limited(create, "create the indexes of tasks", time_limit)

    async def open_tasks(self, application: str, time_limit: float) -> tuple[int, int]:
        """How many are open: of the application, and of all."""

        async def count() -> tuple[int, int]:
            mine = await self._tasks.count_documents({"state": OPEN, "application": application})
            return int(mine), int(await self._tasks.count_documents({"state": OPEN}))

        return await self._limited(count, "count tasks", time_limit)

    async def add_task(self, task: Mapping[str, Any], time_limit: float) -> None:
        """Stores an open task, unclaimed."""

        async def insert() -> None:
            await self._tasks.insert_one({**task, "state": OPEN})

        await self._limited(insert, "store a task", time_limit)

    async def task(self, task_id: str, time_limit: float) -> Mapping[str, Any] | None:
        """One task. It may be large, so it is read as lists are."""
        command = {
            "find": f"{self._name}.tasks",
            "filter": {"_id": task_id, "state": {"$in": _STATES}},
            "limit": 1,
            "singleBatch": True,
            "readConcern": {"level": MAJORITY},
        }
        handle, raw = self._handle, DEFAULT_RAW_BSON_OPTIONS
        answer = await self._long_reads.run(handle, command, raw, "read a task", time_limit)
        document = first_batch(answer["cursor"].raw).documents
        return RawBSONDocument(document, LENIENT) if document else None

    async def claim_task(self, owner: str, expiry: float, time_limit: float) -> Mapping[str, Any] | None:
        """Claims an open task that nobody works on."""
        expired = {"$lt": ["$claim.at", {"$subtract": ["$$NOW", round(expiry * 1000)]}]}
        query = {"state": OPEN, "$or": [{"claim.at": None}, {"$expr": expired}], "$and": _CLAIMABLE}
        update = {"$set": {"claim.by": owner}, "$currentDate": _NOW, "$inc": {"taken": 1}}

        async def claim() -> Mapping[str, Any] | None:
            task: Mapping[str, Any] | None = await self._tasks.find_one_and_update(
                query, update, sort=[("claim.at", 1)], return_document=ReturnDocument.AFTER
            )
            return task

        return await self._limited(claim, "claim tasks", time_limit)

    async def versions(self, ids: Sequence[str], time_limit: float) -> dict[str, Any]:
        """The version, as it is stored, of those of ``ids`` that have a document; None: it has none."""
        collection = self._collection.with_options(codec_options=LENIENT)

        async def find() -> dict[str, Any]:
            cursor = collection.find({"_id": {"$in": list(ids)}}, {"version": 1}, batch_size=len(ids) + 1)
            return {document["_id"]: document.get("version") async for document in cursor}

        return await self._limited(find, "read versions", time_limit)

    async def begin_task(
        self, task_id: str, owner: str, versions: Sequence[int | None], time_limit: float
    ) -> bool:
        """Notes what the endpoints are before any is registered; once only."""
        update = {"$set": {"seen.versions": list(versions)}, "$currentDate": {**_NOW, "seen.at": True}}
        return await self._update_task(
            task_id, owner, update, "begin a task", time_limit, {"seen": {"$exists": False}}
        )

    async def renew_task(self, task_id: str, owner: str, time_limit: float) -> bool:
        """Keeps a claim alive for another attempt."""
        update = {"$currentDate": _NOW, "$inc": {"attempts": 1}}
        return await self._update_task(task_id, owner, update, "renew a task", time_limit)

    async def note_progress(
        self, task_id: str, owner: str, settled: int, failed: Sequence[Mapping[str, Any]], time_limit: float
    ) -> bool:
        """The first ``settled`` endpoints are done; ``failed``: those of all that were refused."""
        noted = {"settled": settled, "failed": [dict(item) for item in failed], "attempts": 0, "taken": 1}
        update = {"$set": noted, "$currentDate": _NOW}
        return await self._update_task(task_id, owner, update, "note a task's progress", time_limit)

    async def finish_task(
        self, task_id: str, owner: str, failed: Sequence[Mapping[str, Any]], time_limit: float
    ) -> bool:
        """Closes a task; ``failed`` tells what did not become an endpoint, all else did."""
        update = {
            "$set": {"state": DONE, "failed": [dict(item) for item in failed]},
            "$unset": {"claim": ""},
            "$currentDate": {"finished_at": True},
        }
        return await self._update_task(task_id, owner, update, "finish a task", time_limit)

    async def set_task_aside(self, task_id: Any, owner: str, time_limit: float) -> bool:
        """Takes what is no task out of the open ones, and leaves it as it is."""
        update = {"$set": {"state": SET_ASIDE}}
        return await self._update_task(task_id, owner, update, "set a task aside", time_limit)

    async def _update_task(
        self,
        task_id: Any,
        owner: str,
        update: Mapping[str, Any],
        operation: str,
        time_limit: float,
        condition: Mapping[str, Any] | None = None,
    ) -> bool:
        async def write() -> bool:
            query = {"_id": task_id, "claim.by": owner, **(condition or {})}
            return bool((await self._tasks.update_one(query, update)).matched_count)

        return await self._limited(write, operation, time_limit)
