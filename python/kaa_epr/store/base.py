"""What both drivers share: bounded operations, the load, and what imports and exports need.

Motor's and PyMongo's own asynchronous classes offer the same methods but no common type, so ``_client`` and
what comes from it are ``Any`` here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

import pymongo
from bson.errors import BSONError
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS
from pymongo import ReadPreference
from pymongo.errors import AutoReconnect, BulkWriteError, InvalidURI, NetworkTimeout, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings
from kaa_epr.store.api import MAX_IDS, IndexSpec, Write, WriteFailure, WriteOutcome
from kaa_epr.store.errors import (
    ForeignCollection,
    StoreOverloaded,
    StoreSettingsRefused,
    StoreTimeout,
    StoreUnavailable,
    from_driver,
)
from kaa_epr.store.options import client_options
from kaa_epr.store.primary import PrimaryWatch
from kaa_epr.store.reply import FirstBatch, first_batch

_log: Final = logging.getLogger(__name__)
_T = TypeVar("_T")

_OUTBOX: Final = "outbox"
_NO_ENDPOINT: Final = "!"
"""Not a legal endpoint ID, so a load of it is as cheap as a load can be."""
_MAJORITY: Final = "majority"
_CLOSE_SECONDS: Final = 1.0
"""How long closing waits for operations that nobody waits for any more."""


class MongoStore(ABC):
    """A ``Store`` over one client; see ``kaa_epr.store.api.Store``."""

    def __init__(self, mongo: MongoSettings, store: StoreSettings) -> None:
        """Opens a client on the running loop; it connects with the first operation.

        Raises ``StoreSettingsRefused`` when the driver does not accept the settings.
        """
        self._fields = mongo.fields
        self._watch = PrimaryWatch(asyncio.get_running_loop())
        self._operations: set[asyncio.Task[Any]] = set()
        self._abandoned: set[asyncio.Task[Any]] = set()
        # As many as loads may be in flight: so many a store that hangs leaves behind until the breaker trips.
        # Each holds a connection and, under Motor, one of few threads (five per processor, shared by all).
        self._max_abandoned = store.max_loads
        try:
            self._client = self._open(
                mongo.uri.get_secret_value(),
                client_options(mongo, store) | {"event_listeners": [self._watch]},
            )
        except (PyMongoError, ValueError, TypeError, OSError) as error:
            # from None: the driver's text may quote parts of the connection string.
            raise StoreSettingsRefused(_without_secrets(error)) from None
        self._database = self._client.get_database(
            mongo.database,
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern(_MAJORITY),
            write_concern=WriteConcern(_MAJORITY),
        )
        self._collection = self._database.get_collection(mongo.collection)
        self._name = mongo.collection
        self.namespace = f"{mongo.database}.{mongo.collection}"
        self._mapped = _mapped_only(mongo)
        self.identity = f"{_hosts(mongo.uri.get_secret_value())}/{self.namespace}"
        self._many_answers = False

    @property
    @abstractmethod
    def driver(self) -> str:
        """``motor`` or ``pymongo``."""

    @abstractmethod
    def _open(self, uri: str, options: Mapping[str, Any]) -> Any:
        """The driver's client."""

    @abstractmethod
    async def _close(self) -> None:
        """Closes the driver's client."""

    @property
    def abandoned(self) -> int:
        """Operations nobody waits for any more that the driver has not finished yet."""
        return len(self._abandoned)

    def on_primary_changed(self, callback: Callable[[], None]) -> None:
        """Sets what is called when another primary, or a new term of one, is seen."""
        self._watch.on_change(callback)

    async def close(self) -> None:
        """Closes all connections. Unfinished operations get a second, then fail."""
        unfinished = set(self._operations)
        if unfinished:
            _, unfinished = await asyncio.wait(unfinished, timeout=_CLOSE_SECONDS)
        for task in unfinished:
            task.cancel()
        await self._close()
        if unfinished:
            await asyncio.wait(unfinished, timeout=_CLOSE_SECONDS)

    # --- loads ----------------------------------------------------------------------------------------------
    async def load(self, ids: Sequence[str], time_limit: float) -> list[bytes]:
        """The documents of ``ids``, raw; see ``Store.load``."""
        return await self._bounded(self._find(ids, self._mapped, time_limit), "load", time_limit)

    async def ping(self, time_limit: float) -> None:
        """Proves that loads work."""
        await self._bounded(self._find([_NO_ENDPOINT], self._mapped, time_limit), "probe", time_limit)

    async def _bounded(self, work: Coroutine[Any, Any, _T], operation: str, time_limit: float) -> _T:
        """The result of ``work``, which runs in a task of its own and is never cancelled.

        Cancelling would make PyMongo close the connection, and Motor leave its thread alone with it. When
        time is up, or the caller is cancelled, the work is left to its own time limits.
        """
        if len(self._abandoned) >= self._max_abandoned:
            work.close()
            raise StoreOverloaded(len(self._abandoned))
        task = asyncio.get_running_loop().create_task(work)
        self._operations.add(task)
        task.add_done_callback(self._operations.discard)
        try:
            done, _ = await asyncio.wait((task,), timeout=time_limit)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not done:
            self._abandon(task)
            raise StoreTimeout(operation, time_limit)
        if task.cancelled():
            raise StoreUnavailable("it was closed")
        try:
            return task.result()
        except (PyMongoError, BSONError) as error:
            raise from_driver(error, operation, time_limit) from error

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.add(task)
        task.add_done_callback(self._bury)

    def _bury(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.debug("an operation past its time limit ended with %s", type(error).__name__)

    async def _find(
        self, ids: Sequence[str], projection: Mapping[str, int], time_limit: float
    ) -> list[bytes]:
        """One ``$in``: by a plain command, and by the driver's cursor where one answer cannot hold it all.

        The driver does not repeat a plain command after a lost connection or a stepped-down primary; its
        cursor, which comes next then, it does. Where documents are so large that one answer is not enough,
        the next load begins with the cursor.
        """
        if len(ids) > MAX_IDS:
            raise ValueError(f"{len(ids)} ids in one load, at most {MAX_IDS} fit")
        deadline = time.monotonic() + time_limit
        query = {self._fields.id: {"$in": list(ids)}}
        if not self._many_answers:
            try:
                batch = await self._find_by_command(query, projection, len(ids) + 1, time_limit)
                if not batch.cursor:
                    return [batch.documents] if batch.documents else []
                await self._database.command({"killCursors": self._name, "cursors": [batch.cursor]})
            except AutoReconnect as error:
                if error.timeout:
                    raise
        return await self._find_by_cursor(query, projection, len(ids) + 1, deadline)

    async def _find_by_command(
        self, query: Mapping[str, Any], projection: Mapping[str, int], batch_size: int, time_limit: float
    ) -> FirstBatch:
        answer = await self._database.command(
            {
                "find": self._name,
                "filter": query,
                "projection": projection,
                "batchSize": batch_size,
                "readConcern": {"level": _MAJORITY},
                "maxTimeMS": max(1, int(time_limit * 1000)),
            },
            codec_options=DEFAULT_RAW_BSON_OPTIONS,
        )
        return first_batch(answer["cursor"].raw)

    async def _find_by_cursor(
        self, query: Mapping[str, Any], projection: Mapping[str, int], batch_size: int, deadline: float
    ) -> list[bytes]:
        left_ms = int((deadline - time.monotonic()) * 1000)
        if left_ms <= 0:
            raise NetworkTimeout("no time left for a second attempt")
        cursor = self._collection.find_raw_batches(
            query, projection, batch_size=batch_size, max_time_ms=left_ms
        )
        batches = [batch async for batch in cursor]
        self._many_answers = len(batches) > 1
        return batches

    # --- imports, exports, indexes --------------------------------------------------------------------------
    def require_own_documents(self) -> None:
        """Raises ``ForeignCollection`` where a field is mapped to another name."""
        for key in type(self._fields).model_fields:
            if getattr(self._fields, key) != type(self._fields).model_fields[key].default:
                raise ForeignCollection(key)

    async def read(self, ids: Sequence[str], time_limit: float) -> list[bytes]:
        """The documents of ``ids`` with all fields but ``outbox``."""
        return await self._bounded(self._find(ids, {_OUTBOX: 0}, time_limit), "read", time_limit)

    async def page(self, after: str | None, limit: int, time_limit: float) -> list[bytes]:
        """The next ``limit`` documents behind ``after``."""
        # A comparison with a string matches strings only; other ids are no endpoint IDs.
        where = {"$gte": ""} if after is None else {"$gt": after}

        async def query() -> list[bytes]:
            cursor = self._collection.find_raw_batches(
                {self._fields.id: where}, {_OUTBOX: 0}, sort=[(self._fields.id, 1)], limit=limit
            )
            return [batch async for batch in cursor]

        return await self._limited(query, "read", time_limit)

    async def write(self, writes: Sequence[Write], time_limit: float) -> WriteOutcome:
        """Writes unordered, acknowledged by the majority."""

        async def bulk_write() -> WriteOutcome:
            try:
                result = await self._collection.bulk_write(list(writes), ordered=False)
            except BulkWriteError as error:
                if error.details.get("writeConcernErrors"):
                    raise
                return _outcome(error.details)
            return WriteOutcome(result.inserted_count + result.matched_count, ())

        return await self._limited(bulk_write, "write", time_limit)

    async def estimate(self, time_limit: float) -> int:
        """About how many documents there are."""
        return int(await self._limited(self._collection.estimated_document_count, "count", time_limit))

    async def indexes(self, time_limit: float) -> dict[str, dict[str, Any]]:
        """The collection's indexes by name."""
        return dict(await self._limited(self._collection.index_information, "list indexes", time_limit))

    async def create_index(self, spec: IndexSpec, time_limit: float) -> None:
        """Makes one index."""
        options: dict[str, Any] = {"name": spec.name}
        if spec.unique:
            options["unique"] = True
        if spec.partial is not None:
            options["partialFilterExpression"] = dict(spec.partial)

        async def create() -> None:
            await self._collection.create_index([(field, 1) for field in spec.fields], **options)

        await self._limited(create, f"create index {spec.name}", time_limit)

    async def _limited(
        self, work: Callable[[], Coroutine[Any, Any, _T]], operation: str, time_limit: float
    ) -> _T:
        """As ``_bounded``, with the driver's own limits raised: these may take longer than loads."""

        async def run() -> _T:
            with pymongo.timeout(time_limit):
                return await work()

        return await self._bounded(run(), operation, time_limit + 1)


def _mapped_only(mongo: MongoSettings) -> dict[str, int]:
    """A projection to the fields the engine reads; ``outbox`` stays in the store."""
    f = mongo.fields
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


def _hosts(uri: str) -> str:
    """The host part of a connection string, as written, without the credentials in front of it."""
    authority = uri.partition("://")[2].partition("/")[0].partition("?")[0]
    return authority.rpartition("@")[2]


def _without_secrets(error: Exception) -> str:
    if isinstance(error, InvalidURI):
        return "mongo.uri is not a MongoDB connection string"
    if isinstance(error, OSError):
        # A certificate that cannot be read: the file's name is what one needs to know.
        return f"{error.strerror or type(error).__name__} ({error.filename or 'certificate or key file'})"
    return f"{type(error).__name__} while opening the client; check mongo.uri, mongo.tls and the user"
