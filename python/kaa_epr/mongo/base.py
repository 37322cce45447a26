"""The store over either driver: loads, and what imports, exports and indexes need."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from pymongo.errors import AutoReconnect, BulkWriteError, NetworkTimeout, OperationFailure
from pymongo.read_concern import ReadConcern

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoFields, MongoSettings
from kaa_epr.mongo.api import MAX_IDS, IndexSpec, Write, WriteFailure, WriteOutcome, WriteUnconfirmed
from kaa_epr.mongo.building import build
from kaa_epr.mongo.change_stream import ChangeStreams
from kaa_epr.mongo.errors import ForeignCollection
from kaa_epr.mongo.gate import Gate
from kaa_epr.mongo.handle import MAJORITY, Handle
from kaa_epr.mongo.idempotency import IdempotencyQueries
from kaa_epr.mongo.lists import ListQueries
from kaa_epr.mongo.outboxes import OutboxQueries
from kaa_epr.mongo.statements import StatementQueries
from kaa_epr.mongo.tasks import TaskQueries
from kaa_epr.mongo.tombstones import TombstoneQueries

_OUTBOX: Final = "outbox"
_OTHERS: Final = 8
"""Connections for writes, probes, the change stream and work in the background."""
_LEAST_READS: Final = 2
_WAITING_READS: Final = 8192
"""More than requests of REST and 19/EPMMP may be under way."""
_NO_SUCH_INDEX: Final = 27
_NO_ENDPOINT: Final = "!"
"""Not a legal endpoint ID, so a load of it is as cheap as a load can be."""


class MongoStore(
    StatementQueries,
    OutboxQueries,
    ListQueries,
    TaskQueries,
    IdempotencyQueries,
    ChangeStreams,
    TombstoneQueries,
):
    """A ``kaa_epr.mongo.register_api.RegisterStore``; the methods are described there and in its base."""

    def __init__(self, mongo: MongoSettings, store: StoreSettings) -> None:
        """As the client's."""
        super().__init__(mongo, store)
        self._mapped = _mapped_only(mongo.fields)
        self._many_answers = False
        # Reads by ID beside loads: the rest is for loads, and for writes and what else there are few of.
        at_once = max(_LEAST_READS, mongo.max_pool_size - store.max_loads - _OTHERS)
        self._reads = Gate(at_once, _WAITING_READS)

    # --- loads ----------------------------------------------------------------------------------------------
    async def load(self, ids: Sequence[str], time_limit: float) -> list[bytes]:
        """The documents of ``ids``, raw; see ``Store.load``."""
        return await self._bounded(self._find(ids, self._mapped, time_limit), "load", time_limit, self._loads)

    async def ping(self, time_limit: float) -> None:
        """Proves that loads work."""
        await self._bounded(
            self._find([_NO_ENDPOINT], self._mapped, time_limit), "probe", time_limit, self._loads
        )

    async def _prove(self, handle: Handle, time_limit: float) -> None:
        """By such a load."""
        probe = self._find([_NO_ENDPOINT], self._mapped, time_limit)
        await self._bounded(probe, "probe with new settings", time_limit, self._loads, handle)

    async def _find(
        self,
        ids: Sequence[str],
        projection: Mapping[str, int],
        time_limit: float,
        read_concern: str = MAJORITY,
    ) -> list[bytes]:
        """One ``$in``: by a plain command, and by the driver's cursor where one answer cannot hold it all.

        The driver does not repeat a plain command after a lost connection or a stepped-down primary; its
        cursor, which comes next then, it does. Where documents are so large that one answer is not enough,
        the next load begins with the cursor.
        """
        if len(ids) > MAX_IDS:
            raise ValueError(f"{len(ids)} ids in one load, at most {MAX_IDS} fit")
        deadline = time.monotonic() + time_limit
        query = {self.fields.id: {"$in": list(ids)}}
        if not self._many_answers:
            try:
                batch = await self._ask(
                    {
                        "find": self._name,
                        "filter": query,
                        "projection": projection,
                        "batchSize": len(ids) + 1,
                        "maxTimeMS": max(1, int(time_limit * 1000)),
                    },
                    read_concern,
                )
                if not batch.cursor:
                    return [batch.documents] if batch.documents else []
                await self._database.command({"killCursors": self._name, "cursors": [batch.cursor]})
            except AutoReconnect as error:
                if error.timeout:
                    raise
        collection = self._collection.with_options(read_concern=ReadConcern(read_concern))
        return await self._find_by_cursor(collection, query, projection, len(ids) + 1, deadline)

    async def _find_by_cursor(
        self,
        collection: Any,
        query: Mapping[str, Any],
        projection: Mapping[str, int],
        batch_size: int,
        deadline: float,
    ) -> list[bytes]:
        left_ms = int((deadline - time.monotonic()) * 1000)
        if left_ms <= 0:
            raise NetworkTimeout("no time left for a second attempt")
        cursor = collection.find_raw_batches(query, projection, batch_size=batch_size, max_time_ms=left_ms)
        batches = [batch async for batch in cursor]
        self._many_answers = len(batches) > 1
        return batches

    # --- imports, exports, indexes --------------------------------------------------------------------------
    def require_own_documents(self) -> None:
        """Raises ``ForeignCollection`` where a field is mapped to another name."""
        for key in type(self.fields).model_fields:
            if getattr(self.fields, key) != type(self.fields).model_fields[key].default:
                raise ForeignCollection(key)

    async def read(self, ids: Sequence[str], time_limit: float) -> list[bytes]:
        """The documents of ``ids`` with all fields but ``outbox``."""

        async def find() -> list[bytes]:
            return await self._find(ids, {_OUTBOX: 0}, time_limit)

        await self._reads.enter("read", time_limit)
        try:
            return await self._limited(find, "read", time_limit)
        finally:
            self._reads.leave()

    async def current(self, ids: Sequence[str], time_limit: float) -> list[bytes]:
        """Whole documents."""

        async def find() -> list[bytes]:
            return await self._find(ids, {}, time_limit, "local")

        return await self._limited(find, "read for a change", time_limit)

    async def page(self, after: str | None, limit: int, time_limit: float) -> bytes:
        """The next ``limit`` documents behind ``after``, or as many as fit into one answer."""
        # A comparison with a string matches strings only; other ids are no endpoint IDs.
        where = {"$gte": ""} if after is None else {"$gt": after}
        command = {
            "find": self._name,
            "filter": {self.fields.id: where},
            "projection": {_OUTBOX: 0},
            "sort": {self.fields.id: 1},
            "limit": limit,
            "batchSize": limit,
            "singleBatch": True,
        }

        return await self._limited(partial(self._page, command), "read", time_limit)

    async def write(self, writes: Sequence[Write], time_limit: float) -> WriteOutcome:
        """Writes unordered, acknowledged by the majority."""

        async def bulk_write() -> WriteOutcome:
            try:
                result = await self._collection.bulk_write(list(writes), ordered=False)
            except BulkWriteError as error:
                if error.details.get("writeConcernErrors"):
                    raise WriteUnconfirmed(_outcome(error.details)) from error
                return _outcome(error.details)
            return WriteOutcome(result.inserted_count + result.matched_count, ())

        return await self._limited(bulk_write, "write", time_limit)

    async def estimate(self, time_limit: float) -> int:
        """About how many documents there are."""
        return int(await self._limited(self._collection.estimated_document_count, "count", time_limit))

    async def indexes(self, time_limit: float) -> dict[str, dict[str, Any]]:
        """The collection's indexes by name."""
        return dict(await self._limited(self._collection.index_information, "list indexes", time_limit))

    async def build_indexes(self, specs: Sequence[IndexSpec]) -> None:
        """Until all of these are there; the server reads the collection once for all."""
        await build(self._newest.settings, self._store, specs)

    async def drop_index(self, name: str, time_limit: float) -> None:
        """Drops an index, if it is there."""

        async def drop() -> None:
            try:
                await self._collection.drop_index(name)
            except OperationFailure as error:
                if error.code != _NO_SUCH_INDEX:
                    raise

        await self._limited(drop, f"drop index {name}", time_limit)


def _mapped_only(f: MongoFields) -> dict[str, int]:
    """A projection to the fields the engine reads; ``outbox`` stays in the store."""
    projection = dict.fromkeys((f.id, f.metadata, f.application_version, f.version, f.deleted_at), 1)
    if "_id" not in projection:
        projection["_id"] = 0
    return projection


def _outcome(details: Mapping[str, Any]) -> WriteOutcome:
    failures = tuple(
        WriteFailure(
            position=error["index"],
            code=error["code"],
            index_fields=tuple(error.get("keyPattern") or ()),
        )
        for error in details["writeErrors"]
    )
    return WriteOutcome(details["nInserted"] + details["nMatched"], failures)
