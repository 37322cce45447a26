"""The register that most would write first: a route, a ``find_one_and_update`` a request, an event published.

It knows of the interface what the benchmark asks: PUT of one metadata key, GET of an endpoint.
The event is published and not confirmed, there is no outbox, and what a request holds is not judged.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import fastavro
import nats
import uvicorn
from nats.aio.client import Client
from pymongo import AsyncMongoClient, ReturnDocument
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas" / "events"
UPDATED = fastavro.parse_schema(json.loads((SCHEMAS / "0015-ep-metadata-updated.avsc").read_text()))
SUBJECT = f"kaa.v1.events.{os.environ['INSTANCE']}.endpoint.metadata.updated"
REPLICA = secrets.token_hex(6)


def shown(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "endpointId": document["_id"],
        "appVersion": {"name": document["application_version"]},
        "metadata": {item["key"]: item["value"] for item in document["metadata"]},
    }


class Register:
    def __init__(self, connection: Client, collection: Any) -> None:
        self.connection = connection
        self.collection = collection

    async def put_key(self, request: Request) -> Response:
        endpoint_id, key = request.path_params["endpointId"], request.path_params["key"]
        value = await request.json()
        old = await self.collection.find_one_and_update(
            {"_id": endpoint_id, "metadata.key": key},
            {"$set": {"metadata.$.value": value}, "$inc": {"version": 1}},
        )
        if old is None:
            old = await self.collection.find_one_and_update(
                {"_id": endpoint_id},
                {"$push": {"metadata": {"key": key, "value": value}}, "$inc": {"version": 1}},
                return_document=ReturnDocument.BEFORE,
            )
        if old is None:
            return JSONResponse({"message": "Endpoint not found"}, 404)
        await self.tell(old, key, value)
        return JSONResponse(value, headers={"ETag": f'"{old["version"] + 1}"'})

    async def tell(self, old: dict[str, Any], key: str, value: Any) -> None:
        before = {item["key"]: item["value"] for item in old["metadata"]}
        text = json.dumps(value, separators=(",", ":"))
        event = {
            "correlationId": secrets.token_hex(10),
            "timestamp": time.time_ns() // 1_000_000,
            "timeout": 0,
            "appVersionName": old["application_version"],
            "endpointId": old["_id"],
            "removed": {},
            "added": {} if key in before else {key: text},
            "updated": {key: {"newValue": text, "oldValue": json.dumps(before[key])}}
            if key in before
            else {},
            "originatorReplicaId": REPLICA,
        }
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, UPDATED, event)
        await self.connection.publish(SUBJECT, buffer.getvalue())

    async def get_endpoint(self, request: Request) -> Response:
        document = await self.collection.find_one({"_id": request.path_params["endpointId"]})
        if document is None:
            return JSONResponse({"message": "Endpoint not found"}, 404)
        return JSONResponse(shown(document), headers={"ETag": f'"{document["version"]}"'})


class Server(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(json.dumps({"rest": f"http://127.0.0.1:{port}"}), flush=True)


async def main() -> None:
    connection = await nats.connect(os.environ["NATS_URL"])
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(os.environ["MONGO_URI"], w="majority")
    collection = client[os.environ["MONGO_DATABASE"]][os.environ["MONGO_COLLECTION"]]
    register = Register(connection, collection)
    path = "/api/v1/endpoints/{endpointId}"
    app = Starlette(
        routes=[
            Route(path, register.get_endpoint, methods=["GET"]),
            Route(path + "/metadata/{key}", register.put_key, methods=["PUT"]),
        ]
    )
    config = uvicorn.Config(
        app, port=0, http="httptools", loop="uvloop", log_level="warning", access_log=False
    )
    await Server(config).serve()
    await connection.close()
    await client.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
