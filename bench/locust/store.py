"""Which endpoints there are, from Mongo: users know them before they ask. Nothing is written here."""

from __future__ import annotations

from typing import Any

from pymongo import MongoClient


class Store:
    """The collection that the responder under test reads."""

    def __init__(self, uri: str, database: str, collection: str) -> None:
        self._client: MongoClient[dict[str, Any]] = MongoClient(uri)
        self._endpoints = self._client[database][collection]
        self._keys: dict[str, list[str]] = {}

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
