"""What unregistered endpoints leave behind, and how it is forgotten; see ``kaa_epr.mongo.register_api``."""

from __future__ import annotations

from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from kaa_epr.mongo.client import BoundedClient
from kaa_epr.mongo.conditional import OUTBOX

_CLAIM_ID: Final = "purge"
"""In the collection ``<collection>.claims``."""


class TombstoneQueries(BoundedClient):
    """Deletes tombstones. The server's clock judges their age: one replica's may be wrong."""

    async def purge_tombstones(self, retention: float, limit: int, time_limit: float) -> int:
        """Deletes the oldest ones, each only if it is still one and its events are published."""
        old: dict[str, Any] = {
            "deleted_at": {"$type": "date"},
            OUTBOX: {"$exists": False},
            "$expr": {"$lt": ["$deleted_at", {"$subtract": ["$$NOW", round(retention * 1000)]}]},
        }

        async def purge() -> int:
            cursor = self._collection.find(old, {"_id": 1}).sort("deleted_at", 1).limit(limit)
            ids = [document["_id"] for document in await cursor.to_list(limit)]
            if not ids:
                return 0
            # Judged once more: one may have been registered anew since.
            result = await self._collection.delete_many({"_id": {"$in": ids}, **old})
            return int(result.deleted_count)

        return await self._limited(purge, "purge tombstones", time_limit)

    async def claim_purge(self, interval: float, time_limit: float) -> bool:
        """One document that all replicas know; whoever moves its date has the next ``interval``."""
        expired = {"$lt": ["$at", {"$subtract": ["$$NOW", round(interval * 1000)]}]}
        tasks = self._database.get_collection(f"{self._name}.claims")

        async def claim() -> bool:
            now = {"$currentDate": {"at": True}}
            if (await tasks.update_one({"_id": _CLAIM_ID, "$expr": expired}, now)).matched_count:
                return True
            try:
                # The first claim ever; where there was one, the insertion meets its document.
                await tasks.update_one({"_id": _CLAIM_ID, "at": {"$exists": False}}, now, upsert=True)
            except DuplicateKeyError:
                return False
            return True

        return await self._limited(claim, "claim the purge", time_limit)
