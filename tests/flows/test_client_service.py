"""The client against the service itself, on a real nats-server and a real MongoDB."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest
from bson import Int64
from pymongo import MongoClient

from kaa_epr.client import (
    BadRequest,
    ClientOptions,
    EndpointNotFound,
    EpmmpClient,
    NoResponders,
    PayloadTooLarge,
    RepositoryUnavailable,
)
from kaa_epr.config.settings import Settings
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.nats.services_api import service_name
from kaa_epr.service import Service

ENDPOINT = {
    "_id": "e-1",
    "application": "app",
    "application_version": "app-v1",
    "version": Int64(7),
    "metadata": [{"key": "model", "value": "m1"}, {"key": "n", "value": 27.0}, {"key": "t", "value": None}],
}
LARGE = {"_id": "large", "metadata": [{"key": "k", "value": "x" * 1_100_000}]}


@asynccontextmanager
async def serving(settings: Mapping[str, Any]) -> AsyncIterator[Service]:
    service = Service(Settings.model_validate(settings))
    await service.start()
    try:
        await service.wait_ready()
        yield service
    finally:
        await service.drain()


def settings_of(nats_url: str, mongo_uri: str, instance: str, **groups: Any) -> dict[str, Any]:
    return {
        "service": {"instance_name": instance},
        "nats": {"servers": [nats_url]},
        "mongo": {"uri": mongo_uri, "database": groups.pop("database", "epr")},
        "management": {"enabled": False},
        **groups,
    }


@pytest.fixture(params=["rust", "pure"])
async def service(
    request: pytest.FixtureRequest,
    nats_server: NatsServer,
    mongod: MongoServer,
    mongo_database: str,
    instance_name: str,
) -> AsyncIterator[Service]:
    with MongoClient[dict[str, Any]](mongod.uri) as mongo:
        mongo[mongo_database]["endpoints"].insert_many([dict(ENDPOINT), dict(LARGE)])
    settings = settings_of(
        nats_server.url, mongod.uri, instance_name, database=mongo_database, engine=request.param
    )
    async with serving(settings) as running:
        yield running


@pytest.fixture
async def client(service: Service, nats_server: NatsServer, instance_name: str) -> AsyncIterator[EpmmpClient]:
    async with EpmmpClient(servers=nats_server.url, repository=instance_name, timeout=20) as made:
        yield made


async def test_an_endpoint_from_the_store_and_from_the_cache(service: Service, client: EpmmpClient) -> None:
    for _ in range(2):
        endpoint = await client.get("e-1", correlation_id="trace-1")
        assert endpoint.payload == b'{"model":"m1","n":27.0,"t":null}'
        assert endpoint.metadata == {"model": "m1", "n": 27.0, "t": None}
        assert (endpoint.etag, endpoint.app_version_name) == ('"7"', "app-v1")
        assert endpoint.correlation_id == "trace-1"
    stats = service.engine.stats()
    assert (stats["hits"], stats["misses"]) == (1, 1)


async def test_fields_and_what_surrounds_them(client: EpmmpClient) -> None:
    assert (await client.get("e-1", ["t", "absent", "model"])).metadata == {"model": "m1", "t": None}
    bare = await client.get("e-1", include_metadata=False)
    assert bare.payload is None
    assert bare.etag == '"7"'


async def test_errors_of_the_service(client: EpmmpClient) -> None:
    with pytest.raises(EndpointNotFound, match="Endpoint not found"):
        await client.get("nobody")
    with pytest.raises(PayloadTooLarge, match="maximum NATS payload"):
        await client.get("large")
    with pytest.raises(BadRequest, match="longer than 4096"):
        await client.get("e" * 4097)


async def test_the_plain_revision(client: EpmmpClient, nats_server: NatsServer, instance_name: str) -> None:
    options = ClientOptions(revision=1)
    async with EpmmpClient(servers=nats_server.url, repository=instance_name, options=options) as older:
        endpoint = await older.get("e-1", ["model"])
    assert endpoint.metadata == {"model": "m1"}
    assert (endpoint.etag, endpoint.app_version_name) == (None, None)


async def test_the_services_api_counts_what_was_answered(
    service: Service, client: EpmmpClient, nats_server: NatsServer, instance_name: str
) -> None:
    for _ in range(5):
        await client.get("e-1")
    nc = await nats.connect(nats_server.url)
    name = service_name(instance_name)
    info = json.loads((await nc.request(f"$SRV.INFO.{name}", timeout=10)).data)
    stats = json.loads((await nc.request(f"$SRV.STATS.{name}", timeout=10)).data)
    await nc.close()
    assert info["metadata"]["engine"] == service.engine.name
    assert (info["metadata"]["fast_path"] == "in use") == (service.engine.name == "rust")
    counted = {endpoint["name"]: endpoint["num_requests"] for endpoint in stats["endpoints"]}
    assert counted == {"ep-metadata-get": 5, "ep-metadata-keys-get": 0, "ep-app-version-get": 0}
    for endpoint in stats["endpoints"]:
        assert (endpoint["num_errors"], endpoint["queue_group"]) == (0, instance_name)


async def test_a_store_that_is_away_is_told_apart_from_a_service_that_is(
    nats_server: NatsServer, instance_name: str
) -> None:
    # Nothing listens on the discard port of loopback.
    settings = settings_of(nats_server.url, "mongodb://127.0.0.1:9", instance_name, store={"timeout": 0.2})
    async with EpmmpClient(
        servers=nats_server.url,
        repository=instance_name,
        timeout=20,
        attempts=2,
        options=ClientOptions(backoff=0.01),
    ) as client:
        async with serving(settings):
            with pytest.raises(RepositoryUnavailable, match="Endpoint store is unavailable") as caught:
                await client.get("e-1")
            assert not isinstance(caught.value, NoResponders)
        with pytest.raises(NoResponders):
            await client.get("e-1")
