"""The store over Motor: PyMongo's blocking client in Motor's threads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient

from kaa_epr.mongo.base import MongoStore
from kaa_epr.mongo.long_reads import LongClient, ThreadedLongClient


class MotorStore(MongoStore):
    """``mongo.driver: motor``."""

    @property
    def driver(self) -> str:
        """As ``mongo.driver`` names it."""
        return "motor"

    def _open(self, uri: str, options: Mapping[str, Any]) -> Any:
        return AsyncIOMotorClient(uri, **options)

    def _open_long(self, uri: str, options: Mapping[str, Any], database: str, at_once: int) -> LongClient:
        return ThreadedLongClient(uri, options, database, at_once)

    async def _session(self) -> Any:
        return await self._handle.client.start_session(causal_consistency=False)

    async def _close(self, client: Any) -> None:
        # Closing tells the server that the sessions ended, and blocks on that.
        await asyncio.to_thread(client.close)
