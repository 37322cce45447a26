"""Numbers and heartbeats over a real nats-server: what a register publishes, a responder judges."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import pytest
from bson import Int64
from nats.aio.client import Client
from pymongo import MongoClient

from kaa_epr.client import EpmmpClient
from kaa_epr.embedded import MongoServer, NatsServer, start_nats
from kaa_epr.engine.api import Kind
from kaa_epr.messages import subjects
from kaa_epr.nats.writer import Heartbeat, WriterNumbers
from kaa_epr.service import Service
from tests.flows.test_client_service import serving, settings_of
from tests.property.messages import event_payload
from tests.support.waiting import until


@pytest.fixture
def own_nats(tmp_path: Path) -> Any:
    """A server of this test's own: writers are heard by every responder on theirs."""
    server = start_nats(tmp_path)
    yield server
    server.stop()


@pytest.fixture(params=["rust", "pure"])
async def service(
    request: pytest.FixtureRequest,
    own_nats: NatsServer,
    mongod: MongoServer,
    mongo_database: str,
    instance_name: str,
) -> AsyncIterator[Service]:
    with MongoClient[dict[str, Any]](mongod.uri) as mongo:
        mongo[mongo_database]["endpoints"].insert_one({"_id": "e-1", "version": Int64(7), "metadata": []})
    settings = settings_of(
        own_nats.url, mongod.uri, instance_name, database=mongo_database, engine=request.param
    )
    async with serving(settings) as running:
        yield running


@pytest.fixture
async def publisher(own_nats: NatsServer) -> AsyncIterator[Client]:
    client = await nats.connect(own_nats.url)
    yield client
    await client.close()


async def send(publisher: Client, beat: Heartbeat) -> None:
    """Sends a heartbeat; the server has taken it when this returns."""
    await publisher.publish(beat.subject, beat.payload, headers=dict(beat.headers))
    await publisher.flush()


async def test_a_lost_event_is_noticed_by_the_next_heartbeat(
    service: Service, own_nats: NatsServer, publisher: Client, instance_name: str
) -> None:
    numbers = WriterNumbers(instance_name)
    async with EpmmpClient(servers=own_nats.url, repository=instance_name, timeout=20) as client:
        await send(publisher, numbers.heartbeat())
        await client.get("e-1")
        payload = event_payload(Kind.METADATA_UPDATED, "other")
        await publisher.publish(
            subjects.metadata_updated(instance_name), payload, headers=numbers.next_headers(3)
        )
        await send(publisher, numbers.heartbeat())
        await client.get("e-1")
        stats = service.engine.stats()
        assert (stats["hits"], stats["coherent"], stats["heartbeats"]) == (1, 1, 2)
        assert (stats["writers"], stats["events_lost"], stats["events_foreign"]) == (1, 0, 0)

        numbers.next_headers(4)  # and this one never goes out
        await send(publisher, numbers.heartbeat())
        await client.get("e-1")
        stats = service.engine.stats()
        assert (stats["hits"], stats["coherent"], stats["events_lost"]) == (1, 0, 1)

        await send(publisher, numbers.goodbye())

        async def hit() -> bool:
            # What took long to load is answered and not cached.
            await client.get("e-1")
            return service.engine.stats()["hits"] == 2

        await until(hit, "answers come from the cache again")
        stats = service.engine.stats()
        assert (stats["coherent"], stats["writers"]) == (1, 0)
