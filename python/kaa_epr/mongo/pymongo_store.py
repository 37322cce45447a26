"""The store over PyMongo's own asynchronous client: all on the event loop, no threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import AsyncMongoClient

from kaa_epr.mongo.base import MongoStore
from kaa_epr.mongo.long_reads import AsyncLongClient, LongClient


class PymongoStore(MongoStore):
    """``mongo.driver: pymongo``."""

    @property
    def driver(self) -> str:
        """As ``mongo.driver`` names it."""
        return "pymongo"

    def _open(self, uri: str, options: Mapping[str, Any]) -> Any:
        return AsyncMongoClient[dict[str, Any]](uri, **options)

    def _open_long(self, uri: str, options: Mapping[str, Any], database: str, at_once: int) -> LongClient:
        return AsyncLongClient(uri, options, database, at_once)

    async def _session(self) -> Any:
        return self._handle.client.start_session(causal_consistency=False)

    async def _close(self, client: Any) -> None:
        await client.close()
