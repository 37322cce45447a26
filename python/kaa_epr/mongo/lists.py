"""Lists of endpoints, their number, and the metadata keys in use; see ``kaa_epr.mongo.register_api``.

A list is read in pieces, each a query of its own that goes on behind the last document of the one before. So
between two pieces, while a client takes its time, nothing is held: no cursor, no connection, no place among
the lists. Documents whose ``_id`` is no string are no endpoints, and left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bson import CodecOptions
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS

from kaa_epr.mongo.client import BoundedClient
from kaa_epr.mongo.handle import MAJORITY
from kaa_epr.mongo.register_api import EndpointQuery, Piece
from kaa_epr.mongo.reply import FirstBatch, first_batch

MAX_LISTED_KEYS: Final = 100_000
"""Pairs of application version and key in one answer; the further ones are left out."""
_SHOWN: Final = (
    "application",
    "application_version",
    "endpoint_token",
    "version",
    "deleted_at",
    "created_at",
    "metadata_updated_at",
    "app_version_registered_at",
)
_RAW: Final[CodecOptions[Any]] = DEFAULT_RAW_BSON_OPTIONS
_OF_THE_MAJORITY: Final = {"readConcern": {"level": MAJORITY}}
_METADATA_TYPE: Final = {"$type": "$metadata"}
_KEYS: Final = {
    "$switch": {
        "branches": [
            {
                "case": {"$eq": [_METADATA_TYPE, "array"]},
                # An item that is no document has no key, and shows as one that cannot be read.
                "then": {"$map": {"input": "$metadata", "in": {"$ifNull": ["$$this.key", None]}}},
            },
            {
                "case": {"$eq": [_METADATA_TYPE, "object"]},
                "then": {"$map": {"input": {"$objectToArray": "$metadata"}, "in": "$$this.k"}},
            },
            {"case": {"$in": [_METADATA_TYPE, ["missing", "null"]]}, "then": []},
        ],
        "default": [None],
    }
}


class ListQueries(BoundedClient):
    """Reads that may take long, over connections of their own."""

    async def find_endpoints(
        self,
        query: EndpointQuery,
        *,
        after: str | None,
        offset: int,
        limit: int,
        with_metadata: bool,
        time_limit: float,
    ) -> Piece:
        """One piece of a list."""
        shown = (*_SHOWN, "metadata") if with_metadata else _SHOWN
        command = {
            "find": self._name,
            "filter": filter_of(query, after),
            "projection": dict.fromkeys(shown, 1),
            "sort": {"_id": 1},
            "skip": offset,
            "limit": limit,
            "batchSize": limit,
        }
        batch = await self._read_long(command, "list", time_limit)
        if batch.cursor:
            await self._ask_long(
                {"killCursors": self._name, "cursors": [batch.cursor]}, "end a list", time_limit, {}
            )
        return Piece(batch.documents, whole=not batch.cursor)

    async def count_endpoints(self, query: EndpointQuery, limit: int, time_limit: float) -> int:
        """How many a list would show in all, counted to ``limit``."""
        command = {"count": self._name, "query": filter_of(query, None), "limit": limit}
        answer = await self._ask_long(command, "count", time_limit)
        return int(answer["n"])

    async def metadata_keys(self, application: str, time_limit: float) -> bytes:
        """Raw documents ``{_id: {version, key}}``, sorted."""
        pipeline: Sequence[Mapping[str, Any]] = [
            {"$match": {"application": {"$eq": application}, "deleted_at": None}},
            {"$project": {"application_version": 1, "key": _KEYS}},
            {"$unwind": "$key"},
            {"$group": {"_id": {"version": "$application_version", "key": "$key"}}},
            {"$sort": {"_id.version": 1, "_id.key": 1}},
            {"$limit": MAX_LISTED_KEYS},
        ]
        command = {
            "aggregate": self._name,
            "pipeline": pipeline,
            "cursor": {"batchSize": MAX_LISTED_KEYS},
        }
        return (await self._read_long(command, "list metadata keys", time_limit)).documents

    async def _read_long(self, command: Mapping[str, Any], operation: str, time_limit: float) -> FirstBatch:
        answer = await self._ask_long(command, operation, time_limit)
        return first_batch(answer["cursor"].raw)

    async def _ask_long(
        self,
        command: Mapping[str, Any],
        operation: str,
        time_limit: float,
        more: Mapping[str, Any] = _OF_THE_MAJORITY,
    ) -> Any:
        return await self._long_reads.run(self._handle, {**command, **more}, _RAW, operation, time_limit)


def filter_of(query: EndpointQuery, after: str | None) -> dict[str, Any]:
    """The documents of a list, behind the id ``after``."""
    # {$eq: value}: a value from outside is never taken for an operator.
    named = {
        "_id": query.endpoint_id,
        "application": query.application,
        "application_version": query.application_version,
    }
    conditions: list[dict[str, Any]] = [
        # A comparison with a string holds for strings only.
        {"_id": {"$gte": ""} if after is None else {"$gt": after}},
        {"deleted_at": None},
        *({name: {"$eq": value}} for name, value in named.items() if value is not None),
        *(
            {"metadata": {"$elemMatch": {"key": {"$eq": key}, "value": {"$eq": value}}}}
            for key, value in query.metadata.items()
        ),
    ]
    return {"$and": conditions}
