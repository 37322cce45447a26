"""Those who change endpoints during the soak, each its own, and what it takes to count as acknowledged."""

from __future__ import annotations

import asyncio
import io
import itertools
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import fastavro
import nats.errors
import pymongo
from bson import Int64
from nats.aio.client import Client
from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from bench.soak.endpoints import APP_VERSION, Endpoint
from bench.soak.judge import Judge
from bench.soak.publisher import Publisher
from kaa_epr import schemas
from kaa_epr.messages import subjects
from kaa_epr.messages.outgoing import write_datum

Collection = AsyncCollection[dict[str, Any]]
STORE_SECONDS: Final = 5.0
REPEAT_SECONDS: Final = 3.0
"""After which a bare event is said again: nothing would ever tell of one that was lost with a server."""
REQUEST_SECONDS: Final = 8.0
UNSURE_SECONDS: Final = 25.0
"""How long an endpoint rests after a request without answer, which may still be under way somewhere."""
UPDATE: Final = "epmmp/0019-endpoint-metadata-key-update-"
RESPONSE: Final = fastavro.parse_schema(schemas.load(f"{UPDATE}response"))


class Paced(ABC):
    """Counts what was acknowledged, and keeps a rate: what a fault held back is made up for slowly."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self.acknowledged = 0
        self._next = 0.0

    @abstractmethod
    async def run(self) -> None:
        """Until cancelled."""

    async def pace(self, items: int) -> None:
        """Waits until it is time for the next so many."""
        now = time.monotonic()
        self._next = max(self._next, now - 1.0) + items * self._interval
        await asyncio.sleep(max(0.0, self._next - now))


class BatchWriter(Paced):
    """Majority writes in batches, then their events: acknowledged when both are done."""

    def __init__(
        self,
        collection: Collection,
        publisher: Publisher,
        endpoints: Sequence[Endpoint],
        judge: Judge,
        *,
        rate: float,
        batch: int,
        repeat: bool = False,
    ) -> None:
        """``rate`` is in endpoints a second, ``repeat`` says events again after ``REPEAT_SECONDS``."""
        super().__init__(rate)
        self._collection = collection
        self._publisher = publisher
        self._turn = itertools.cycle(endpoints)
        self._judge = judge
        self._batch = batch
        self._repeat = repeat
        self._repeating: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.pace(self._batch)
            await self.write([next(self._turn) for _ in range(self._batch)])

    async def write(self, endpoints: Sequence[Endpoint]) -> None:
        """One batch, tried again until it is acknowledged."""
        changes = [(endpoint, self._judge.attempt(endpoint.number)) for endpoint in endpoints]
        writes = [_raised(endpoint.id, number) for endpoint, number in changes]
        while True:
            try:
                with pymongo.timeout(STORE_SECONDS):
                    await self._collection.bulk_write(writes, ordered=False)
            except PyMongoError as error:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    # PyMongo makes one of these of a cancellation too.
                    raise asyncio.CancelledError from error
                await asyncio.sleep(0.1)  # the same again, which changes nothing twice
            else:
                break
        await self._publisher.tell(changes)
        for endpoint, number in changes:
            self._judge.acknowledge(endpoint.number, number)
        self.acknowledged += len(changes)
        if self._repeat:
            task = asyncio.get_running_loop().create_task(self._say_again(changes))
            self._repeating.add(task)
            task.add_done_callback(self._repeating.discard)

    async def _say_again(self, changes: Sequence[tuple[Endpoint, int]]) -> None:
        await asyncio.sleep(REPEAT_SECONDS)
        await self._publisher.tell(changes)


def _raised(endpoint_id: str, number: int) -> UpdateOne:
    condition = {"_id": endpoint_id, "version": {"$lt": number}}
    return UpdateOne(condition, {"$set": {"metadata.0.value": number, "version": Int64(number)}})


class RegisterWriter(Paced):
    """Key updates over 19/EPMMP, answered by whichever register of the fleet takes them."""

    def __init__(
        self, client: Client, instance: str, endpoints: Sequence[Endpoint], judge: Judge, *, rate: float
    ) -> None:
        super().__init__(rate)
        self._client = client
        self._subject = subjects.targeted(instance, subjects.EPMMP, subjects.KEY_UPDATE_REQUEST)
        self._turn: asyncio.Queue[Endpoint] = asyncio.Queue()
        for endpoint in endpoints:
            self._turn.put_nowait(endpoint)
        self._judge = judge
        self.refused: Counter[str] = Counter()
        """Answers other than 200, by their reason."""
        self.unanswered: Counter[str] = Counter()
        """Requests that got none, by the error."""

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self.pace(1)
                endpoint = await self._turn.get()
                group.create_task(self._write(endpoint))

    async def _write(self, endpoint: Endpoint) -> None:
        number = self._judge.attempt(endpoint.number)
        request = {
            "correlationId": APP_VERSION,
            "timestamp": time.time_ns() // 1_000_000,
            "timeout": 0,
            "endpointId": endpoint.id,
            "metadataKey": "n",
            "metadataValue": b"%d" % number,
        }
        try:
            message = await self._client.request(
                self._subject, write_datum(f"{UPDATE}request", request), timeout=REQUEST_SECONDS
            )
        except (nats.errors.Error, OSError) as error:
            self.unanswered[type(error).__name__] += 1
            await asyncio.sleep(UNSURE_SECONDS)
        else:
            await self._heard(endpoint, number, message.data)
        self._turn.put_nowait(endpoint)

    async def _heard(self, endpoint: Endpoint, number: int, answer: bytes) -> None:
        said = fastavro.schemaless_reader(io.BytesIO(answer), RESPONSE, None)
        assert isinstance(said, dict)
        if said["statusCode"] == 200:
            self._judge.acknowledge(endpoint.number, number)
            self.acknowledged += 1
        else:
            self.refused[said["reasonPhrase"]] += 1
            await asyncio.sleep(UNSURE_SECONDS)
