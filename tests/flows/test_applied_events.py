"""After a write of the register gets show the new value and eTag, and nothing is loaded for them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from bson import Int64

from kaa_epr.client import EpmmpClient
from kaa_epr.config.settings import Settings
from kaa_epr.service import Service
from tests.flows.register_support import EpmmpCaller, Listener, serving

STORED: dict[str, Any] = {"a": 1, "when": {"$date": 5}, "n": None}
URL = "/endpoints/e-1/metadata"


@pytest.fixture
def apply_events() -> bool:
    """What the setting is."""
    return True


@pytest.fixture(params=["rust", "pure"])
async def service(
    request: pytest.FixtureRequest,
    settings_here: Callable[..., Settings],
    collection: Any,
    apply_events: bool,
) -> AsyncIterator[Service]:
    metadata = [{"key": key, "value": value} for key, value in STORED.items()]
    names = {"application": "app", "application_version": "app-v1"}
    collection.insert_one({"_id": "e-1", **names, "version": Int64(7), "metadata": metadata})
    collection.insert_one({"_id": "unnumbered", **names, "metadata": metadata})
    settings = settings_here(engine=request.param, invalidation={"apply_events": apply_events})
    async with serving(settings) as running:
        yield running


def counted(service: Service) -> dict[str, Any]:
    """What loads and events came to."""
    stats = service.engine.stats()
    return {name: stats[name] for name in ("misses", "loads", "events_applied")}


async def shown(client: EpmmpClient, collection: Any, endpoint_id: str = "e-1") -> list[str]:
    """The keys in their order, once metadata and eTag are seen to be those of the document."""
    got = await client.get(endpoint_id)
    stored = collection.find_one({"_id": endpoint_id})
    assert got.metadata is not None
    assert list(got.metadata.items()) == [(item["key"], item["value"]) for item in stored["metadata"]]
    assert got.etag == f'"{stored["version"]}"'
    return list(got.metadata)


async def test_gets_after_writes_load_nothing(
    service: Service,
    http: httpx.AsyncClient,
    caller: EpmmpCaller,
    client: EpmmpClient,
    collection: Any,
    listener: Listener,
) -> None:
    assert await shown(client, collection) == ["a", "when", "n"]
    before = counted(service)
    assert before == {"misses": 1, "loads": 1, "events_applied": 0}

    assert (await http.put(f"{URL}/a", json={"$numberLong": "5", "é": [1.0, None]})).status_code == 200
    assert await shown(client, collection) == ["a", "when", "n"]
    assert (await http.put(f"{URL}/new", json=-0.0)).status_code == 200
    assert await shown(client, collection) == ["a", "when", "n", "new"]
    assert (await http.delete(f"{URL}/when")).status_code == 204
    assert await shown(client, collection) == ["a", "n", "new"]
    answer = await caller.call("key-update", endpointId="e-1", metadataKey="n", metadataValue=b"1e22")
    assert answer["statusCode"] == 200
    assert await shown(client, collection) == ["a", "n", "new"]
    operations = [
        {"op": "remove", "path": "/a"},
        {"op": "add", "path": "/a", "value": "again"},
        {"op": "move", "from": "/new", "path": "/newer"},
    ]
    answer = await caller.call("patch", endpointId="e-1", ifMatch=None, patch=json.dumps(operations).encode())
    assert answer["statusCode"] == 200
    assert await shown(client, collection) == ["a", "n", "newer"]
    # Another order is no change; what was there keeps its place.
    replaced = await http.put(URL, json={"last": {}, "newer": 1, "a": "again"})
    assert replaced.status_code == 200
    assert await shown(client, collection) == ["a", "newer", "last"]

    assert counted(service) == {**before, "events_applied": 6}
    bases = [event.headers.get("Kaa-Epr-Base") for event in await listener.settle()]
    assert bases == ["7", "8", "9", "10", "11", "12"]


async def test_what_has_no_version_before_or_changes_more_is_loaded(
    service: Service, http: httpx.AsyncClient, client: EpmmpClient, collection: Any, listener: Listener
) -> None:
    await client.get("unnumbered")
    assert (await http.put("/endpoints/unnumbered/metadata/a", json=2)).status_code == 200
    await shown(client, collection, "unnumbered")
    assert counted(service) == {"misses": 2, "loads": 2, "events_applied": 0}
    assert (await http.put("/endpoints/unnumbered/app-version", json={"name": "app-v2"})).status_code == 200
    await shown(client, collection, "unnumbered")
    assert counted(service) == {"misses": 3, "loads": 3, "events_applied": 0}
    assert (await http.put("/endpoints/unnumbered/metadata/a", json=3)).status_code == 200
    await shown(client, collection, "unnumbered")
    assert counted(service) == {"misses": 3, "loads": 3, "events_applied": 1}
    bases = [event.headers.get("Kaa-Epr-Base") for event in await listener.settle()]
    assert bases == [None, None, "2"]


@pytest.mark.parametrize("apply_events", [False])
async def test_events_only_invalidate_where_they_are_not_to_be_applied(
    service: Service, http: httpx.AsyncClient, client: EpmmpClient, collection: Any
) -> None:
    for at in range(1, 4):
        await shown(client, collection)
        assert counted(service) == {"misses": at, "loads": at, "events_applied": 0}
        assert (await http.put(f"{URL}/a", json=at + 1)).status_code == 200
