"""Endpoints in Mongo, and updates as a stock Kaa service makes them: write, then publish the event.

Goes away once the register takes updates over EPMMP.
"""

from __future__ import annotations

import io
import time
from typing import Any, Final

import fastavro
from pymongo import MongoClient, ReturnDocument

from kaa_epr import schemas

EVENT_SUBJECT: Final = "kaa.v1.events.locust.endpoint.metadata.updated"
KEY: Final = "locust"
"""The metadata field that updates set."""


class Store:
    """The collection that the responder under test reads."""

    def __init__(self, uri: str, database: str, collection: str) -> None:
        self._client: MongoClient[dict[str, Any]] = MongoClient(uri, w="majority")
        self._endpoints = self._client[database][collection]
        self._keys: dict[str, list[str]] = {}
        self._event = fastavro.parse_schema(schemas.load("events/0015-ep-metadata-updated"))

    def ids(self, limit: int) -> list[str]:
        """Up to ``limit`` endpoint ids, in order."""
        found = self._endpoints.find({}, {"_id": 1}).sort("_id", 1).limit(limit)
        return [document["_id"] for document in found]

    def keys(self, endpoint_id: str) -> list[str]:
        """The metadata keys of one endpoint, as they were when first asked for."""
        if endpoint_id not in self._keys:
            document = self._endpoints.find_one({"_id": endpoint_id}, {"metadata.key": 1}) or {"metadata": []}
            self._keys[endpoint_id] = [field["key"] for field in document["metadata"]]
        return self._keys[endpoint_id]

    def update(self, endpoint_id: str, value: str) -> int:
        """Sets one field of one endpoint, acknowledged by the majority; returns the new version."""
        others = {"$filter": {"input": "$metadata", "cond": {"$ne": ["$$this.key", KEY]}}}
        change = {
            "metadata": {"$concatArrays": [others, [{"key": KEY, "value": value}]]},
            "version": {"$add": ["$version", 1]},
        }
        document = self._endpoints.find_one_and_update(
            {"_id": endpoint_id},
            [{"$set": change}],
            projection={"version": 1},
            return_document=ReturnDocument.AFTER,
        )
        if document is None:
            raise LookupError(f"endpoint {endpoint_id} is gone")
        return int(document["version"])

    def event(self, endpoint_id: str, correlation: str, value: str) -> bytes:
        """The 15/EME event that tells of an update."""
        message = {
            "correlationId": correlation,
            "timestamp": int(time.time() * 1000),
            "timeout": 0,
            "appVersionName": "bench-v1",
            "endpointId": endpoint_id,
            "removed": {},
            "added": {},
            "updated": {KEY: {"newValue": f'"{value}"', "oldValue": None}},
            "originatorReplicaId": "locust-0",
        }
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self._event, message)
        return out.getvalue()
