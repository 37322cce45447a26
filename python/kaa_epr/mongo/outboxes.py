"""Outboxes: found, counted, emptied; see ``kaa_epr.mongo.register_api``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bson.raw_bson import RawBSONDocument
from pymongo.write_concern import WriteConcern

from kaa_epr.mongo.client import BoundedClient
from kaa_epr.mongo.conditional import CLAIM, OUTBOX, Claim
from kaa_epr.mongo.lenient import LENIENT
from kaa_epr.mongo.register_api import Outbox

MAX_BACKLOG: Final = 10_000
"""Outboxes counted at most."""


class OutboxQueries(BoundedClient):
    """Over either driver."""

    async def outboxes(
        self, owner: str, expiry: float, limit: int, time_limit: float, skip: int = 0
    ) -> list[Outbox]:
        """Outboxes without a living claim of somebody else."""
        # The server's clock set the claim and judges it: replicas' clocks may differ.
        expired = {"$lt": ["$outbox_claim.at", {"$subtract": ["$$NOW", round(expiry * 1000)]}]}
        # A claim without a date never expires; ours have one.
        undated = {"outbox_claim.at": {"$not": {"$type": "date"}}}
        query = {
            # Others are no endpoints.
            "_id": {"$type": "string"},
            "outbox": {"$exists": True},
            "$or": [{"outbox_claim.by": owner}, undated, {"$expr": expired}],
        }
        collection = self._collection.with_options(codec_options=LENIENT)

        async def find() -> list[Outbox]:
            cursor = collection.find(query, {"outbox": 1, "outbox_claim": 1})
            documents = await cursor.sort("outbox_claim.at", 1).skip(skip).limit(limit).to_list(limit)
            return [_outbox(document) for document in documents]

        return await self._limited(find, "look for outboxes", time_limit)

    async def backlog(self, time_limit: float) -> tuple[int, float]:
        """Of all replicas."""
        claimed = "$outbox_claim.at"
        age = {"$cond": [{"$eq": [{"$type": claimed}, "date"]}, {"$subtract": ["$$NOW", claimed]}, None]}
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

    async def remove_broken_claims(self, ids: Sequence[str], time_limit: float) -> None:
        """Takes away what stands in a claim's place, so that the outbox can be claimed."""
        broken = {"$exists": True, "$not": {"$type": "object"}}
        condition = {"_id": {"$in": list(ids)}, OUTBOX: {"$exists": True}, CLAIM: broken}

        async def remove() -> None:
            await self._collection.update_many(condition, {"$unset": {CLAIM: ""}})

        await self._limited(remove, "remove broken claims", time_limit)

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
    named = claim if isinstance(claim, Mapping) else {}
    owner = named.get("by")
    return Outbox(
        document["_id"],
        owner if isinstance(owner, str) else None,
        named.get("id"),
        tuple(events) if isinstance(events, list) else (None,),
        claim_broken=claim is not None and not isinstance(claim, Mapping),
    )
