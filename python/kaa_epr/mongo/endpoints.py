"""The register's reads and outbox queries over either driver; see ``kaa_epr.mongo.register_api``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from pymongo.write_concern import WriteConcern

from kaa_epr.mongo.client import BoundedClient
from kaa_epr.mongo.conditional import CLAIM, OUTBOX, Claim
from kaa_epr.mongo.register_api import EndpointQuery, Outbox

MAX_LISTED_KEYS: Final = 100_000
"""Pairs of application version and key in one answer; the further ones are left out."""
MAX_BACKLOG: Final = 10_000
"""Outboxes counted at most."""
_HIDDEN: Final = (OUTBOX, CLAIM)


class EndpointQueries(BoundedClient):
    """Reads of the register."""

    async def outboxes(self, owner: str, expiry: float, limit: int, time_limit: float) -> list[Outbox]:
        """Outboxes without a living claim of somebody else."""
        # The server's clock set the claim and judges it: replicas' clocks may differ.
        expired = {"$lt": ["$outbox_claim.at", {"$subtract": ["$$NOW", round(expiry * 1000)]}]}
        query = {
            "outbox": {"$exists": True},
            "$or": [{"outbox_claim.by": owner}, {"outbox_claim.at": None}, {"$expr": expired}],
        }

        async def find() -> list[Outbox]:
            cursor = self._collection.find(query, {"outbox": 1, "outbox_claim": 1})
            documents = await cursor.sort("outbox_claim.at", 1).limit(limit).to_list(limit)
            return [_outbox(document) for document in documents]

        return await self._limited(find, "look for outboxes", time_limit)

    async def backlog(self, time_limit: float) -> tuple[int, float]:
        """Of all replicas."""
        age = {"$subtract": ["$$NOW", "$outbox_claim.at"]}
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

    async def clear_outboxes(self, ids: Sequence[str], claims: Sequence[Claim], time_limit: float) -> None:
        """Empties outboxes that were published."""
        condition = {"_id": {"$in": list(ids)}, f"{CLAIM}.id": {"$in": [claim.id for claim in claims]}}
        collection = self._collection.with_options(write_concern=WriteConcern(1))

        async def clear() -> None:
            await collection.update_many(condition, {"$unset": {OUTBOX: "", CLAIM: ""}})

        await self._limited(clear, "clear outboxes", time_limit)

    async def find_endpoints(
        self, query: EndpointQuery, *, offset: int, limit: int, with_metadata: bool, time_limit: float
    ) -> bytes:
        """One page of a list."""
        hidden = _HIDDEN if with_metadata else (*_HIDDEN, "metadata")
        command = {
            "find": self._name,
            "filter": _filter(query),
            "projection": dict.fromkeys(hidden, 0),
            "sort": {"_id": 1},
            "skip": offset,
            "limit": limit,
            "batchSize": limit,
            "singleBatch": True,
        }

        return await self._limited(partial(self._page, command), "list", time_limit)

    async def count_endpoints(self, query: EndpointQuery, time_limit: float) -> int:
        """How many a list would show in all."""

        async def count() -> int:
            return int(await self._collection.count_documents(_filter(query)))

        return await self._limited(count, "count", time_limit)

    async def metadata_keys(self, application: str, time_limit: float) -> dict[str, list[str]]:
        """Keys by application version."""
        key = {"version": "$application_version", "key": "$metadata.key"}
        command = {
            "aggregate": self._name,
            "pipeline": [
                {"$match": {"application": application, "deleted_at": None}},
                {"$project": {"application_version": 1, "metadata.key": 1}},
                {"$unwind": "$metadata"},
                {"$group": {"_id": key}},
                {"$sort": {"_id.version": 1, "_id.key": 1}},
                {"$limit": MAX_LISTED_KEYS},
            ],
            "cursor": {"batchSize": MAX_LISTED_KEYS},
            "readConcern": {"level": "majority"},
        }

        async def aggregate() -> dict[str, list[str]]:
            answer = await self._database.command(command)
            keys: dict[str, list[str]] = {}
            for pair in (group["_id"] for group in answer["cursor"]["firstBatch"]):
                if isinstance(pair.get("version"), str) and isinstance(pair.get("key"), str):
                    keys.setdefault(pair["version"], []).append(pair["key"])
            return keys

        return await self._limited(aggregate, "list metadata keys", time_limit)


def _outbox(document: Mapping[str, Any]) -> Outbox:
    claim = document.get("outbox_claim") or {}
    return Outbox(document["_id"], claim.get("by"), claim.get("id"), tuple(document["outbox"]))


def _filter(query: EndpointQuery) -> dict[str, Any]:
    # {$eq: value}: a value from outside is never taken for an operator.
    named = {
        "_id": query.endpoint_id,
        "application": query.application,
        "application_version": query.application_version,
    }
    conditions: list[dict[str, Any]] = [
        {"deleted_at": None},
        *({name: {"$eq": value}} for name, value in named.items() if value is not None),
        *(
            {"metadata": {"$elemMatch": {"key": {"$eq": key}, "value": {"$eq": value}}}}
            for key, value in query.metadata.items()
        ),
    ]
    return {"$and": conditions}
