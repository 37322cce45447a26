"""Metadata keys and application versions over NATS: on both paths, from the cache, by the rules of gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client as NatsClient

from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.engine.api import Kind
from kaa_epr.messages import subjects
from kaa_epr.service import Service
from tests.flows.register_support import EpmmpCaller
from tests.nats.harness import Store, connected, count, serving, settings_of
from tests.property.messages import event_payload
from tests.property.support import needs_rust
from tests.support.waiting import until


@pytest.fixture
async def nc(nats_server: NatsServer) -> AsyncIterator[NatsClient]:
    async with connected(nats_server.url) as client:
        yield client


@pytest.fixture(
    params=[
        pytest.param({}, id="fast", marks=needs_rust),
        pytest.param({"nats": {"fast_path": "off"}}, id="callbacks", marks=needs_rust),
        pytest.param({"engine": "pure"}, id="pure"),
    ]
)
async def service(
    request: pytest.FixtureRequest,
    nats_server: NatsServer,
    mongod: MongoServer,
    mongo_database: str,
    instance_name: str,
    store: Store,
) -> AsyncIterator[Service]:
    settings = settings_of(nats_server.url, mongod.uri, mongo_database, instance_name, **request.param)
    async with serving(settings) as running:
        yield running


@pytest.fixture
def caller(nc: NatsClient, instance_name: str) -> EpmmpCaller:
    return EpmmpCaller(nc, instance_name)


async def versions(caller: EpmmpCaller, *ids: str) -> dict[str, Any]:
    answer = await caller.call("app-version", endpointIds=list(ids))
    assert (answer["statusCode"], answer["endpointIds"]) == (200, list(ids))
    found = answer["appVersionsToEndpoints"]
    assert isinstance(found, dict)
    return found


async def test_keys_come_from_what_a_get_has_cached(
    service: Service, store: Store, caller: EpmmpCaller, nc: NatsClient
) -> None:
    store.put("e-1", b=1, a=2)
    assert (await caller.call("keys-get", endpointId="e-1"))["keys"] == ["b", "a"]
    store.put("e-1", 2, c=3)
    assert (await caller.call("keys-get", endpointId="e-1"))["keys"] == ["b", "a"]
    assert (count(service, "hits"), count(service, "loads")) == (1, 1)
    event = event_payload(Kind.METADATA_UPDATED, "e-1")
    await nc.publish(subjects.metadata_updated(caller.instance), event)
    await nc.flush()
    await until(lambda: count(service, "invalidations_metadata_updated"))
    assert (await caller.call("keys-get", endpointId="e-1"))["keys"] == ["c"]


async def test_application_versions_load_only_what_is_missing(
    service: Service, store: Store, caller: EpmmpCaller
) -> None:
    for endpoint_id in ("e-1", "e-2", "e-3"):
        store.put(endpoint_id)
    assert await versions(caller, "e-2") == {"a-v1": ["e-2"]}
    assert await versions(caller, "e-3", "e-2", "none", "e-1") == {"a-v1": ["e-3", "e-2", "e-1"]}
    assert (count(service, "loaded_endpoints"), count(service, "loads")) == (3, 2)
    loads = count(service, "loads")
    assert await versions(caller, "e-1", "none", "e-1") == {"a-v1": ["e-1"]}
    assert await versions(caller) == {}
    assert count(service, "loads") == loads
    assert (count(service, "unknown_hits"), count(service, "pending")) == (1, 0)


async def test_a_store_that_is_down_and_malformed_requests(
    service: Service, store: Store, caller: EpmmpCaller
) -> None:
    store.put("e-1")
    assert await versions(caller, "e-1") == {"a-v1": ["e-1"]}
    service.engine.store_up(False, wall_ms=0, mono_ms=0)
    answer = await caller.call("app-version", endpointIds=["e-1", "e-2"])
    assert (answer["statusCode"], answer["reasonPhrase"]) == (503, "Endpoint store is unavailable")
    assert (answer["endpointIds"], answer["appVersionsToEndpoints"]) == (["e-1", "e-2"], {})
    assert (await caller.call("keys-get", endpointId="e-1"))["statusCode"] == 200
    many = await caller.call("app-version", endpointIds=["e"] * 1001)
    assert (many["statusCode"], many["endpointIds"]) == (400, [])
    assert many["reasonPhrase"] == "Malformed request: more than 1000 endpointIds"
    bad = await caller.raw("keys-get", caller.encode("keys-get", endpointId="e-1") + b"\0")
    assert (bad["statusCode"], bad["endpointId"]) == (400, "e-1")
    assert count(service, "requests_app_versions") == 3
    assert (count(service, "errors_keys_get"), count(service, "errors_app_versions")) == (1, 2)
