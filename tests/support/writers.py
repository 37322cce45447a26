"""Those who write: through the register, in bulk beside it, and as stock services that know nothing of us."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import nats
from bson import Int64
from pymongo import UpdateOne, WriteConcern
from pymongo.errors import PyMongoError

from kaa_epr.messages import subjects
from kaa_epr.messages.outgoing import EventKind, OutgoingEvent, encode, write_datum
from kaa_epr.nats.outlet import SessionOutlet
from kaa_epr.nats.publisher import Publisher, PublishFailed
from kaa_epr.nats.writer import Heartbeats, WriterNumbers
from tests.support.frames import Item
from tests.support.load import RETRY, read_varint
from tests.support.raw_nats import Lasting, Lost, RawNats
from tests.support.writer import WRITE_TIMEOUT, Writer

_UPDATE_SCHEMA: Final = "epmmp/0019-endpoint-metadata-key-update-request"


class RegisterWriter(Writer):
    """Updates one metadata key through the register (19/EPMMP key update)."""

    def __init__(self, *args: Any, instance: str, urls: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._subject = subjects.targeted(instance, subjects.EPMMP, subjects.KEY_UPDATE_REQUEST)
        self._connection = Lasting(urls, self._listen)
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._number = 0
        self.statuses: dict[int, int] = {}

    async def open(self) -> None:
        await self._connected()

    async def close(self) -> None:
        self._connection.close()

    async def write(self, endpoint_ids: Sequence[str]) -> None:
        endpoint_id = endpoint_ids[0]
        connection = await self._connected()
        if connection is None:
            return
        counter = self.history.begin(endpoint_id)
        status = await self._ask(connection, endpoint_id, counter)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == 200:
            self.done(endpoint_id, counter)
        else:
            await self.settle(endpoint_id, counter)

    async def _connected(self) -> RawNats | None:
        """A connection that lives; None when the writer is stopped before."""
        while True:
            try:
                return await self._connection.get()
            except (OSError, TimeoutError):
                if await self.stopped_within(RETRY):
                    return None

    async def _listen(self, connection: RawNats) -> None:
        connection.subscribe(f"writer.{id(self)}.*", self._take)
        await connection.round_trip()

    async def _ask(self, connection: RawNats, endpoint_id: str, counter: int) -> int:
        """The status of the register's answer; 0 if none came."""
        self._number += 1
        reply = f"writer.{id(self)}.{self._number}"
        fields = {"correlationId": reply, "timestamp": time.time_ns() // 1_000_000, "timeout": 0}
        fields |= {"endpointId": endpoint_id, "metadataKey": "n", "metadataValue": str(counter).encode()}
        payload = write_datum(_UPDATE_SCHEMA, fields)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[reply] = answer
        try:
            connection.write(
                b"PUB %b %b %d\r\n%b\r\n" % (self._subject.encode(), reply.encode(), len(payload), payload)
            )
            return await asyncio.wait_for(answer, WRITE_TIMEOUT)
        except (Lost, TimeoutError):
            return 0
        finally:
            del self._waiting[reply]

    def _take(self, item: Item) -> None:
        answer = self._waiting.get(item.subject)
        if answer is None or answer.done():
            return
        if item.headers.startswith(b"NATS/1.0 503"):
            answer.set_result(503)
            return
        size, at = read_varint(item.payload, 0)
        at += size
        _, at = read_varint(item.payload, at)
        _, at = read_varint(item.payload, at)
        size, at = read_varint(item.payload, at)
        status, _ = read_varint(item.payload, at + size)
        answer.set_result(status)


class BulkWriter(Writer):
    """An importer beside the register: bulk writes to the majority, then numbered events and heartbeats.

    What the store took is published until the NATS server has it, under new numbers each time.
    """

    batch = 20

    def __init__(self, *args: Any, originator: str, urls: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._originator = originator
        self._urls = list(urls)
        self._outlet = SessionOutlet()
        self.numbers = WriterNumbers(originator)
        self._heartbeats = Heartbeats(self.numbers, self._outlet.heartbeat)
        self._publisher = Publisher(originator, self._outlet, self.numbers)
        self._versions: dict[str, int] = {}

    async def open(self) -> None:
        self._client = await nats.connect(
            self._urls,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RETRY,
            ping_interval=1,
            error_cb=_ignore,
        )
        await self._outlet.attach(self._client)
        await self._heartbeats.start()

    async def close(self) -> None:
        await self._heartbeats.stop()
        self._outlet.detach()
        await self._client.close()

    async def die(self) -> None:
        """Falls silent as a killed process does: no goodbye, and what it was about to publish is lost."""
        self.stopping.set()
        self._heartbeats.cease()
        await self._client.close()

    async def write(self, endpoint_ids: Sequence[str]) -> None:
        counters = {endpoint_id: self.history.begin(endpoint_id) for endpoint_id in endpoint_ids}
        majority = self.collection.with_options(write_concern=WriteConcern("majority"))
        try:
            await majority.bulk_write([_update(*item) for item in counters.items()], ordered=False)
            stored = counters
        except PyMongoError:
            stored = {name: counter for name, counter in counters.items() if await self.settle(name, counter)}
        if not stored:
            return
        if await self._publish(self._events(stored)):
            for endpoint_id, counter in stored.items():
                self.done(endpoint_id, counter)

    def _events(self, counters: dict[str, int]) -> list[OutgoingEvent]:
        """One for each endpoint, with the version that it has now."""
        events = []
        for endpoint_id in counters:
            version = self._versions.get(endpoint_id, 1) + 1
            self._versions[endpoint_id] = version
            events.append(OutgoingEvent(EventKind.METADATA_UPDATED, version, _event_payload(endpoint_id)))
        return events

    async def _publish(self, events: Sequence[OutgoingEvent]) -> bool:
        """Until a server has taken them; whether one has before the writer was stopped."""
        while True:
            try:
                await self._publisher.publish(events, WRITE_TIMEOUT)
            except PublishFailed:
                if await self.stopped_within(RETRY):
                    return False
            else:
                return True


class ForeignWriter(Writer):
    """A stock Kaa service: one document at a time, with ``w`` as write concern, and an event without headers.

    ``silent`` publishes nothing at all.
    """

    def __init__(
        self,
        *args: Any,
        originator: str,
        urls: Sequence[str],
        w: int | str = 1,
        silent: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._subject = subjects.metadata_updated(originator)
        self._connection = Lasting(urls)
        self._w = w
        self._silent = silent

    async def open(self) -> None:
        await self._connection.get()

    async def close(self) -> None:
        self._connection.close()

    async def write(self, endpoint_ids: Sequence[str]) -> None:
        endpoint_id = endpoint_ids[0]
        counter = self.history.begin(endpoint_id)
        writing = self.collection.with_options(write_concern=WriteConcern(self._w))
        try:
            await writing.bulk_write([_update(endpoint_id, counter)])
        except PyMongoError:
            if not await self.settle(endpoint_id, counter):
                return
        if self._silent or await self._publish(endpoint_id):
            self.done(endpoint_id, counter)

    async def _publish(self, endpoint_id: str) -> bool:
        """Until a server has taken the event; whether one has before the writer was stopped."""
        while True:
            try:
                connection = await self._connection.get()
                connection.publish(self._subject, _event_payload(endpoint_id))
                await connection.round_trip()
            except (OSError, TimeoutError):
                if await self.stopped_within(RETRY):
                    return False
            else:
                return True


async def _ignore(_error: Exception) -> None:
    """nats-py's complaints about connections that the test has cut."""


def _update(endpoint_id: str, counter: int) -> UpdateOne:
    change = {"$set": {"metadata.0.value": Int64(counter)}, "$inc": {"version": Int64(1)}}
    return UpdateOne({"_id": endpoint_id}, change)


def _event_payload(endpoint_id: str) -> bytes:
    fields = {"correlationId": "w", "timestamp": time.time_ns() // 1_000_000, "timeout": 0}
    fields |= {"appVersionName": "app-v1", "endpointId": endpoint_id, "originatorReplicaId": "w"}
    return encode(EventKind.METADATA_UPDATED, fields | {"removed": {}, "added": {}, "updated": {}})
