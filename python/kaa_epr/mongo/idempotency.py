"""What requests with an idempotency key reserved and were answered: ``<collection>.requests``.

One document a key and caller. Whoever carries the request out has its claim, which expires by the server's
clock. Documents are forgotten by an index of MongoDB's own (TTL), a day after the key was used first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pymongo import IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError

from kaa_epr.mongo.client import BoundedClient

KEEP_SECONDS: Final = 24 * 3600
"""How long a key is known."""
OPEN: Final = "open"
DONE: Final = "done"


class IdempotencyQueries(BoundedClient):
    """Reservations of the register; see ``kaa_epr.mongo.register_api``."""

    @property
    def _requests(self) -> Any:
        return self._database.get_collection(f"{self._name}.requests")

    async def ensure_requests(self, time_limit: float) -> None:
        """Makes the index."""
        reserved = IndexModel("reserved_at", name="reserved_at", expireAfterSeconds=KEEP_SECONDS)

        async def create() -> None:
            await self._requests.create_indexes([reserved])

        await self._limited(create, "create the index of requests", time_limit)

    async def reserve_request(
        self,
        request_id: str,
        fingerprint: str,
        proposed: Mapping[str, Any],
        claim_id: str,
        expiry: float,
        time_limit: float,
    ) -> Mapping[str, Any]:
        """The request's document, made now if there was none; claimed for ``claim_id`` if it could be."""
        update = _reserving(fingerprint, proposed, claim_id, expiry)

        async def reserve() -> Mapping[str, Any]:
            found: Mapping[str, Any] = await self._requests.find_one_and_update(
                {"_id": request_id}, update, upsert=True, return_document=ReturnDocument.AFTER
            )
            return found

        async def reserve_beside_others() -> Mapping[str, Any]:
            try:
                return await reserve()
            except DuplicateKeyError:
                # Somebody made it between our look and our insertion; now it is there.
                return await reserve()

        return await self._limited(reserve_beside_others, "reserve a request", time_limit)

    async def finish_request(
        self, request_id: str, claim_id: str, answer: Mapping[str, Any], time_limit: float
    ) -> None:
        """Notes the answer, for whoever asks the same again."""
        update = {"$set": {"state": DONE, "answer": dict(answer)}, "$unset": {"claim": ""}}
        await self._update_request(request_id, claim_id, update, "finish a request", time_limit)

    async def release_request(self, request_id: str, claim_id: str, time_limit: float) -> None:
        """Gives the claim back: the same request may be carried out again, with what is reserved."""
        await self._update_request(
            request_id, claim_id, {"$unset": {"claim": ""}}, "release a request", time_limit
        )

    async def forget_request(self, request_id: str, claim_id: str, time_limit: float) -> None:
        """Takes it that the key was never used."""

        async def delete() -> None:
            await self._requests.delete_one({"_id": request_id, "claim.id": claim_id})

        await self._limited(delete, "forget a request", time_limit)

    async def _update_request(
        self, request_id: str, claim_id: str, update: Mapping[str, Any], operation: str, time_limit: float
    ) -> None:
        async def write() -> None:
            await self._requests.update_one({"_id": request_id, "claim.id": claim_id}, update)

        await self._limited(write, operation, time_limit)


def _reserving(
    fingerprint: str, proposed: Mapping[str, Any], claim_id: str, expiry: float
) -> list[dict[str, Any]]:
    """An update that makes the document or claims it, in one step, by the server's clock."""
    mine = {"id": {"$literal": claim_id}, "at": "$$NOW"}
    expired = {"$lt": ["$claim.at", {"$subtract": ["$$NOW", round(expiry * 1000)]}]}
    may_be_claimed = {
        "$and": [
            {"$eq": ["$state", OPEN]},
            {"$eq": ["$fingerprint", {"$literal": fingerprint}]},
            {"$or": [{"$eq": [{"$type": "$claim"}, "missing"]}, expired]},
        ]
    }
    made = {
        "state": OPEN,
        "fingerprint": {"$literal": fingerprint},
        "reserved": {"$literal": dict(proposed)},
        "reserved_by": {"$literal": claim_id},
        "reserved_at": "$$NOW",
    }
    return [
        {"$set": {name: {"$ifNull": [f"${name}", value]} for name, value in made.items()}},
        {"$set": {"claim": {"$cond": [may_be_claimed, mine, "$claim"]}}},
    ]
