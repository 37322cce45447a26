"""What MongoDB holds: majority reads of the primary, gathered into batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from kaa_epr.engine.api import FieldMapping
from kaa_epr.engine.pure.bson_check import DocumentError
from kaa_epr.engine.pure.entry import Tombstone, from_bson, id_of, split
from kaa_epr.log import Repeats, get_logger
from kaa_epr.mongo.api import Store
from kaa_epr.mongo.errors import StoreError
from kaa_epr.observer.counts import Counts
from kaa_epr.observer.judging import UNKNOWN, UNUSABLE, State, Stored, found
from kaa_epr.supervised import Supervisor

_BATCH: Final = 256
_ABSENT: Final = Stored(State(UNKNOWN), None)
_UNUSABLE: Final = Stored(State(UNUSABLE), None)

_log = get_logger(__name__)


class Reader:
    """One read at a time; who asks meanwhile waits for the next, so every read begins after its question.

    As many wait as there are checks. Values are digested as they come and not kept.
    """

    def __init__(
        self, store: Store, mapping: FieldMapping, seconds: float, counts: Counts, supervisor: Supervisor
    ) -> None:
        """``seconds``: for one read."""
        self._store = store
        self._mapping = mapping
        self._seconds = seconds
        self._counts = counts
        self._repeats = Repeats()
        self._waiting: dict[str, asyncio.Future[Stored | None]] = {}
        self._reads = supervisor.passing("reads")
        self._task: asyncio.Task[None] | None = None
        self.failure: str | None = None
        """Why the last read failed; None when it did not."""

    async def read(self, endpoint_id: str) -> Stored | None:
        """What is stored at some moment after the call; None when MongoDB did not say."""
        future = self._waiting.get(endpoint_id)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            self._waiting[endpoint_id] = future
        if self._task is None or self._task.done():
            self._task = self._reads.run(self._run())
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Ends the read under way; who waits learns nothing."""
        await self._reads.stop()
        await self._store.close()

    async def _run(self) -> None:
        while self._waiting:
            batch = {id_: self._waiting.pop(id_) for id_ in list(self._waiting)[:_BATCH]}
            stored: dict[str, Stored] | None = None
            try:
                stored = await self._load(list(batch))
            finally:
                for id_, future in batch.items():
                    if not future.done():
                        future.set_result(None if stored is None else stored.get(id_, _ABSENT))

    async def _load(self, ids: Sequence[str]) -> dict[str, Stored] | None:
        try:
            batches = await self._store.load(ids, self._seconds)
        except StoreError as error:
            self._counts.store_failures += len(ids)
            self.failure = str(error)
            self._repeats.warning(_log, "mongo cannot be read", error=str(error))
            return None
        self._counts.store_reads += len(ids)
        self.failure = None
        stored: dict[str, Stored] = {}
        for batch in batches:
            for document in split(batch):
                endpoint_id = id_of(document, self._mapping)
                if endpoint_id is not None:
                    stored[endpoint_id] = self._stored(document, endpoint_id)
        return stored

    def _stored(self, document: bytes, endpoint_id: str) -> Stored:
        try:
            entry = from_bson(document, endpoint_id, self._mapping)
        except DocumentError:
            return _UNUSABLE
        if isinstance(entry, Tombstone):
            return Stored(State(UNKNOWN), entry.version)
        return Stored(found(entry.json, entry.etag, entry.app_version), entry.version)
