"""The program that most would write first: a nats-py callback, fastavro, an LRU, one find a miss.

Knows what ours knows of the protocol for good requests (revision 3), and neither listens to events nor
shares loads. The cache keeps decoded documents, so each answer is projected and encoded anew.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import fastavro
import nats
import uvloop
from cachetools import LRUCache
from motor.motor_asyncio import AsyncIOMotorClient
from nats.aio.client import Client
from nats.aio.msg import Msg

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas" / "epmmp"
LOADS = 64
"""Finds under way at once."""

REQUEST = fastavro.parse_schema(
    json.loads((SCHEMAS / "0019-endpoint-metadata-get-request.rev3.avsc").read_text())
)
RESPONSE = fastavro.parse_schema(
    json.loads((SCHEMAS / "0019-endpoint-metadata-get-response.rev3.avsc").read_text())
)


class Responder:
    def __init__(self, connection: Client, collection: Any, entries: int) -> None:
        self.connection = connection
        self.collection = collection
        self.cache: LRUCache[str, dict[str, Any]] = LRUCache(entries)
        self.loads = asyncio.Semaphore(LOADS)
        self.tasks: set[asyncio.Task[None]] = set()

    async def on_get(self, message: Msg) -> None:
        request: Any = fastavro.schemaless_reader(io.BytesIO(message.data), REQUEST, None)
        document = self.cache.get(request["endpointId"])
        if document is not None:
            await self.answer(message.reply, request, document)
            return
        task = asyncio.create_task(self.load(message.reply, request))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def load(self, reply: str, request: dict[str, Any]) -> None:
        async with self.loads:
            document = await self.collection.find_one({"_id": request["endpointId"]})
        if document is not None:
            self.cache[request["endpointId"]] = document
        await self.answer(reply, request, document)

    async def answer(self, reply: str, request: dict[str, Any], document: dict[str, Any] | None) -> None:
        response = {
            "correlationId": request["correlationId"],
            "timestamp": int(time.time() * 1000),
            "timeout": 0,
            "endpointId": request["endpointId"],
        }
        if document is None:
            response |= {"statusCode": 404, "reasonPhrase": "Endpoint not found"}
        else:
            include = request["include"]
            metadata = {
                field["key"]: field["value"]
                for field in document["metadata"]
                if not include or field["key"] in include
            }
            response |= {
                "eTag": f'"{document["version"]}"',
                "payload": json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode(),
                "statusCode": 200,
                "appVersionName": document["application_version"],
            }
        out = io.BytesIO()
        fastavro.schemaless_writer(out, RESPONSE, response)
        await self.connection.publish(reply, out.getvalue())


async def main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    store: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(os.environ["MONGO_URI"], maxPoolSize=LOADS)
    collection = store[os.environ["MONGO_DATABASE"]][os.environ["MONGO_COLLECTION"]]
    connection = await nats.connect(os.environ["NATS_URL"])
    responder = Responder(connection, collection, int(os.environ["CACHE_ENTRIES"]))
    subject = f"kaa.v1.service.{os.environ['INSTANCE']}.epmmp.ep-metadata-get-request"
    await connection.subscribe(
        subject, queue="bench", cb=responder.on_get, pending_msgs_limit=1_000_000, pending_bytes_limit=1 << 30
    )
    await connection.flush()
    print("ready", flush=True)
    await stop.wait()
    await connection.close()


if __name__ == "__main__":
    uvloop.run(main())
