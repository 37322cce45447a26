"""Outboxes: found, counted, emptied; see ``kaa_epr.mongo.register_api``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bson.raw_bson import RawBSONDocument
from pymongo.write_concern import WriteConcern

from kaa_epr.mongo.client import BoundedClient
from kaa_epr.mongo.conditional import CLAIM, OUTBOX, Claim
from kaa_epr.mongo.lenient import LENIENT
from kaa_epr.mongo.register_api import Outbox

MAX_BACKLOG: Final = 10_000
"""Outboxes counted at most."""
_CLAIMED_AT: Final = f"${CLAIM}.at"
_BROKEN: Final = {
    "$or": [
        {"$ne": [{"$type": f"${CLAIM}"}, "object"]},
        {"$ne": [{"$type": f"${CLAIM}.id"}, "string"]},
    ]
}
"""In ``$expr``, since queries look into arrays: no claim of ours, which are documents and have an ID."""


def _dead(expiry: float) -> dict[str, Any]:
    """In ``$expr``: claims that expired, and those that the server's clock did not date.

    That clock sets claims and judges them: replicas' clocks may differ. One that is dated far ahead of it is
    not ours and would never expire, nor would one without a date: that is less than every date, or more.
    """
    milliseconds = round(expiry * 1000)
    return {
        "$or": [
            {"$lt": [_CLAIMED_AT, {"$subtract": ["$$NOW", milliseconds]}]},
            {"$gt": [_CLAIMED_AT, {"$add": ["$$NOW", milliseconds]}]},
        ]
    }


class OutboxQueries(BoundedClient):
    """Over either driver."""

    async def outboxes(
        self, owner: str, expiry: float, limit: int, time_limit: float, skip: int = 0
    ) -> list[Outbox]:
        """Outboxes without a living claim of somebody else."""
        query = {
            # Others are no endpoints.
            "_id": {"$type": "string"},
            "outbox": {"$exists": True},
            "$or": [{f"{CLAIM}.by": owner}, {"$expr": _dead(expiry)}],
        }
        collection = self._collection.with_options(codec_options=LENIENT)

        async def find() -> list[Outbox]:
            cursor = collection.find(query, {"outbox": 1, "outbox_claim": 1})
            documents = await cursor.sort("outbox_claim.at", 1).skip(skip).limit(limit).to_list(limit)
            return [_outbox(document) for document in documents]

        return await self._limited(find, "look for outboxes", time_limit)

    async def backlog(self, time_limit: float) -> tuple[int, float]:
        """Of all replicas."""
        is_date = {"$eq": [{"$type": _CLAIMED_AT}, "date"]}
        age = {"$cond": [is_date, {"$subtract": ["$$NOW", _CLAIMED_AT]}, None]}
        command = {
            "aggregate": self._name,
            "pipeline": [
                {"$match": {"outbox": {"$exists": True}}},
                # Only for this order is the partial index used, and not the whole collection read.
                {"$sort": {"outbox_claim.at": 1}},
                {"$limit": MAX_BACKLOG},
                {"$group": {"_id": None, "count": {"$sum": 1}, "oldest": {"$max": age}}},
            ],
            "cursor": {},
        }

        async def count() -> tuple[int, float]:
            groups = (await self._database.command(command))["cursor"]["firstBatch"]
            return (groups[0]["count"], (groups[0]["oldest"] or 0) / 1000) if groups else (0, 0.0)

        return await self._limited(count, "count outboxes", time_limit)

    async def remove_broken_claims(self, ids: Sequence[str], time_limit: float) -> int:
        """Takes away what stands in a claim's place, so that the outbox can be claimed."""
        condition = {
            "_id": {"$in": list(ids)},
            OUTBOX: {"$exists": True},
            CLAIM: {"$exists": True},
            "$expr": _BROKEN,
        }

        async def remove() -> int:
            removed = await self._collection.update_many(condition, {"$unset": {CLAIM: ""}})
            return int(removed.modified_count)

        return await self._limited(remove, "remove broken claims", time_limit)

    async def clear_outboxes(self, ids: Sequence[str], claims: Sequence[Claim], time_limit: float) -> None:
        """Empties outboxes that were published."""
        condition = {"_id": {"$in": list(ids)}, f"{CLAIM}.id": {"$in": [claim.id for claim in claims]}}
        collection = self._collection.with_options(write_concern=WriteConcern(1))

        async def clear() -> None:
            await collection.update_many(condition, {"$unset": {OUTBOX: "", CLAIM: ""}})

        await self._limited(clear, "clear outboxes", time_limit)


def _outbox(document: RawBSONDocument) -> Outbox:
    """Whoever wrote it: what is no outbox of ours has no events, what is no claim is nobody's."""
    claim, events = document.get(CLAIM), document.get(OUTBOX)
    named = claim if isinstance(claim, RawBSONDocument) else None
    owner, claim_id = (None, None) if named is None else (named.get("by"), named.get("id"))
    return Outbox(
        document["_id"],
        owner if isinstance(owner, str) else None,
        named,
        tuple(events) if isinstance(events, list) else (None,),
        claim_broken=CLAIM in document and not isinstance(claim_id, str),
    )
