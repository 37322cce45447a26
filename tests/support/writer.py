"""What all writers have in common: a rate, endpoints of their own, and a history to tell."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from bson import Int64
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from tests.support.judge import Judge
from tests.support.load import RETRY

WRITE_TIMEOUT: Final = 6.0
"""Seconds after which a write's outcome is asked of the store: more than the register takes to say."""
SETTLE_SECONDS: Final = 20.0
"""After so long with the store reachable, a write that is not there will never be."""
STORE_TIMEOUT_MS: Final = 2_000

Collection = AsyncCollection[dict[str, Any]]


def mongo_client(uri: str) -> AsyncMongoClient[dict[str, Any]]:
    """The writers' own way to the store; what the register does is none of its business."""
    return AsyncMongoClient(
        uri, serverSelectionTimeoutMS=STORE_TIMEOUT_MS, timeoutMS=3 * STORE_TIMEOUT_MS, retryWrites=True
    )


def document(endpoint_id: str, pad: int = 100) -> dict[str, Any]:
    """An endpoint with counter 0 as its first metadata field."""
    metadata = [{"key": "n", "value": Int64(0)}, {"key": "pad", "value": "x" * pad}]
    head = {"_id": endpoint_id, "application": "app", "application_version": "app-v1"}
    return {**head, "version": Int64(1), "metadata": metadata}


async def fill(collection: Collection, endpoint_ids: Sequence[str]) -> None:
    """Stores the endpoints anew, for the majority to see."""
    majority = collection.with_options(write_concern=WriteConcern("majority"))
    await majority.delete_many({})
    await majority.insert_many([document(endpoint_id) for endpoint_id in endpoint_ids])


class Writer(ABC):
    """Writes its own endpoints, each at most once at a time, at about ``rate`` writes a second.

    ``hot`` are the getters' queues: what was acknowledged is asked for at once.
    """

    def __init__(
        self,
        judge: Judge,
        collection: Collection,
        endpoint_ids: Sequence[str],
        *,
        rate: float = 50.0,
        hot: Sequence[deque[str]] = (),
    ) -> None:
        self.judge = judge
        self.history = judge.history
        self.collection = collection
        majority = ReadConcern("majority")
        self._reading = collection.with_options(read_concern=majority, read_preference=ReadPreference.PRIMARY)
        self.free = deque(endpoint_ids)
        self.acknowledged = 0
        self._rate = rate
        self._hot = list(hot)
        self.stopping = asyncio.Event()
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Returns when the first write is acknowledged."""
        await self.open()
        self._task = asyncio.get_running_loop().create_task(self._run())
        await self.more(1)

    async def stop(self) -> None:
        """Begins no more writes and waits for those under way; what is in doubt then stays so."""
        self.stopping.set()
        if self._task is not None:
            await self._task
        await asyncio.gather(*self.tasks)
        await self.close()

    async def more(self, writes: int, seconds: float = 30.0) -> None:
        """Until so many more are acknowledged."""
        goal = self.acknowledged + writes
        async with asyncio.timeout(seconds):
            while self.acknowledged < goal:
                for task in (self._task, *self.tasks):
                    if task is not None and task.done():
                        task.result()
                self._moved.clear()
                await self._moved.wait()

    @abstractmethod
    async def open(self) -> None:
        """Before the first write."""

    @abstractmethod
    async def close(self) -> None:
        """After the last."""

    @abstractmethod
    async def write(self, endpoint_ids: Sequence[str]) -> None:
        """Carries out one write of each, and tells the history."""

    batch = 1
    """Endpoints written together."""

    async def _run(self) -> None:
        due, last = 0.0, time.monotonic()
        while not await self.stopped_within(self.batch / self._rate):
            now = time.monotonic()
            due = min(due + self._rate * (now - last), 4.0 * self.batch)
            last = now
            while due >= self.batch and len(self.free) >= self.batch:
                due -= self.batch
                self._spawn([self.free.popleft() for _ in range(self.batch)])

    def _spawn(self, endpoint_ids: list[str]) -> None:
        task = asyncio.get_running_loop().create_task(self._write(endpoint_ids))
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is None:
            self.tasks.discard(task)
        self._moved.set()

    async def _write(self, endpoint_ids: list[str]) -> None:
        await self.write(endpoint_ids)
        self.free.extend(endpoint_ids)

    def done(self, endpoint_id: str, counter: int) -> None:
        """The write is acknowledged: whoever asks from now on should see it, and somebody does ask."""
        self.history.acknowledge(endpoint_id, counter)
        self.acknowledged += 1
        self._moved.set()
        for queue in self._hot:
            queue.append(endpoint_id)

    async def settle(self, endpoint_id: str, counter: int) -> bool:
        """Asks the store what became of a write, until it is there or cannot come any more.

        Whether it is there; left in doubt, and False, when the writer is stopped before that is known.
        """
        self.history.unknown_outcome()
        reachable = 0.0
        while True:
            began = time.monotonic()
            try:
                found = await self._reading.find_one({"_id": endpoint_id}, {"metadata": 1})
            except PyMongoError:
                pass  # not reachable: the time does not count
            else:
                if found is not None and found["metadata"][0]["value"] == counter:
                    self.history.commit(endpoint_id, counter)
                    return True
                if reachable > SETTLE_SECONDS:
                    self.judge.dropped(endpoint_id, counter)
                    return False
                reachable += RETRY + time.monotonic() - began
            if await self.stopped_within(RETRY):
                return False

    async def stopped_within(self, seconds: float) -> bool:
        """Waits for the end of the run, but not longer than ``seconds``."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True
