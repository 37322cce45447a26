"""The service on real servers, as the tests of the wire need it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import nats
from bson import Int64
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from pymongo import MongoClient

from kaa_epr.config.settings import Settings
from kaa_epr.messages import subjects
from kaa_epr.service import Service
from tests.property.messages import Get
from tests.property.support import response
from tests.support.waiting import DEADLINE


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``more`` laid over it, group by group."""
    groups = {key: {**base.get(key, {}), **value} for key, value in more.items() if isinstance(value, dict)}
    return {**base, **more, **groups}


def settings_of(nats_url: str, mongo_uri: str, database: str, instance: str, **groups: Any) -> dict[str, Any]:
    """Settings with short intervals; ``groups`` go over them."""
    base = {
        "service": {"instance_name": instance},
        "nats": {
            "servers": [nats_url],
            "ping_interval": 0.3,
            "reconnect_wait": 0.02,
            "reconnect_wait_max": 0.1,
        },
        "mongo": {"uri": mongo_uri, "database": database},
        "store": {"timeout": 2.0},
        # The scrubber's finds would meet the faults that tests plant for loads.
        "invalidation": {"settle": 0, "scrub_per_second": 0},
        "management": {"enabled": False},
    }
    return merged(base, groups)


@asynccontextmanager
async def started(settings: Mapping[str, Any]) -> AsyncIterator[Service]:
    """A service that has begun to connect."""
    service = Service(Settings.model_validate(settings))
    await service.start()
    try:
        yield service
    finally:
        await asyncio.wait_for(service.drain(), 2 * DEADLINE)


@asynccontextmanager
async def serving(settings: Mapping[str, Any]) -> AsyncIterator[Service]:
    """A service that answers."""
    async with started(settings) as service:
        await asyncio.wait_for(service.wait_ready(), DEADLINE)
        yield service


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[NatsClient]:
    """An ordinary client, the requester; it is soon back where nats-py by itself would wait for 2 s."""
    soon: dict[str, Any] = {"reconnect_time_wait": 0.05, "max_reconnect_attempts": -1}
    client = await nats.connect(url, **(soon | options))
    try:
        yield client
    finally:
        await client.close()


def count(service: Service, name: str) -> int:
    """One of the engine's counts."""
    value = service.engine.stats()[name]
    assert isinstance(value, int)
    return value


async def ask_raw(
    client: NatsClient, instance: str, payload: bytes, *, headers: dict[str, str] | None = None
) -> Msg:
    """One request and its message."""
    subject = subjects.metadata_get_request(instance)
    return await client.request(subject, payload, timeout=DEADLINE, headers=headers)


async def ask(client: NatsClient, instance: str, endpoint_id: str = "e-1", **fields: Any) -> dict[str, Any]:
    """One get and its answer."""
    message = await ask_raw(client, instance, Get(endpoint_id=endpoint_id, **fields).encode())
    return response(message.data)


class Store:
    """The collection behind the service."""

    def __init__(self, uri: str, database: str) -> None:
        self.uri = uri
        self.database = database
        self._client: MongoClient[dict[str, Any]] = MongoClient(uri)
        self.collection = self._client[database]["endpoints"]

    def put(self, endpoint_id: str, version: int = 1, **metadata: Any) -> None:
        """Stores an endpoint, or stores it anew."""
        pairs = [{"key": key, "value": value} for key, value in metadata.items()]
        document = {"application": "a", "application_version": "a-v1", "version": Int64(version)}
        self.collection.replace_one({"_id": endpoint_id}, {**document, "metadata": pairs}, upsert=True)

    def close(self) -> None:
        """Ends the test's own connection."""
        self._client.close()
