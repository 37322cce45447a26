"""Writes over 19/EPMMP against the running service: answers, what is stored, events, and gets that follow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from bson import Int64
from pymongo import MongoClient

from kaa_epr.client import EpmmpClient
from kaa_epr.config.settings import Settings
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.service import Service
from tests.flows.register_support import EpmmpCaller, Listener, serving


def endpoint(endpoint_id: str, **metadata: Any) -> dict[str, Any]:
    return {
        "_id": endpoint_id,
        "application": "app",
        "application_version": "app-v1",
        "version": Int64(7),
        "metadata": [{"key": key, "value": value} for key, value in metadata.items()],
    }


@pytest.fixture(params=[("motor", "rust"), ("pymongo", "pure")], ids="-".join)
async def service(
    request: pytest.FixtureRequest, settings_here: Callable[..., Settings], endpoints: Any
) -> AsyncIterator[Service]:
    driver, engine = request.param
    settings = settings_here(
        engine=engine, mongo={"driver": driver}, register={"restricted_keys": {"app": ["lock"]}}
    )
    async with serving(settings) as running:
        yield running


@pytest.fixture
def endpoints(mongod: MongoServer, mongo_database: str) -> Any:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        collection = client[mongo_database]["endpoints"]
        collection.insert_many([endpoint("e-1", a=1, b="x"), endpoint("e-2", a=1)])
        yield collection


async def test_a_key_update_is_stored_told_and_read_back(
    service: Service,
    endpoints: Any,
    listener: Listener,
    caller: EpmmpCaller,
    nats_server: NatsServer,
    instance_name: str,
) -> None:
    async with EpmmpClient(servers=nats_server.url, repository=instance_name, timeout=20) as client:
        assert (await client.get("e-1")).metadata == {"a": 1, "b": "x"}
        answer = await caller.call("key-update", endpointId="e-1", metadataKey="a", metadataValue=b"null")
        assert (answer["statusCode"], answer["correlationId"], answer["endpointId"]) == (200, "c-1", "e-1")
        got = await client.get("e-1")
        assert (got.metadata, got.etag) == ({"a": None, "b": "x"}, '"8"')
    # The event lies before the answer on the wire: it has been heard.
    (event,) = listener.heard
    assert event.version == 8
    assert event.headers["Kaa-Epr-Seq"] == "1"
    assert event.fields["updated"] == {"a": {"newValue": None, "oldValue": "1"}}
    assert (event.fields["added"], event.fields["removed"]) == ({}, {})
    assert event.fields["correlationId"] == "c-1"
    assert event.fields["originatorReplicaId"] == service.replica_id
    assert event.fields["appVersionName"] == "app-v1"
    assert service.register is not None
    await service.register.pipeline.drain(20)
    stored = endpoints.find_one({"_id": "e-1"})
    assert stored["metadata"] == [{"key": "a", "value": None}, {"key": "b", "value": "x"}]
    assert not {"outbox", "outbox_claim"} & stored.keys()


async def test_what_changes_nothing_is_answered_and_not_told(
    service: Service, endpoints: Any, listener: Listener, caller: EpmmpCaller
) -> None:
    answer = await caller.call("key-update", endpointId="e-1", metadataKey="a", metadataValue=b" 1 ")
    assert answer["statusCode"] == 200
    assert await listener.settle() == []
    assert endpoints.find_one({"_id": "e-1"})["version"] == 7


async def test_a_patch_with_and_without_a_matching_tag(
    service: Service, listener: Listener, caller: EpmmpCaller
) -> None:
    patch = json.dumps([{"op": "remove", "path": "/a"}, {"op": "add", "path": "/c", "value": [1]}]).encode()
    refused = await caller.call("patch", endpointId="e-1", ifMatch='"6"', patch=patch)
    assert (refused["statusCode"], refused["reasonPhrase"]) == (412, "The endpoint's eTag does not match")
    assert (await caller.call("patch", endpointId="e-1", ifMatch="7", patch=patch))["statusCode"] == 200
    assert (await caller.call("patch", endpointId="e-1", ifMatch=None, patch=patch))["statusCode"] == 409
    (event,) = await listener.settle()
    assert (event.fields["removed"], event.fields["added"]) == ({"a": "1"}, {"c": "[1]"})


@pytest.mark.parametrize(
    ("kind", "fields", "status"),
    [
        ("key-update", {"endpointId": "none", "metadataKey": "a", "metadataValue": b"1"}, 404),
        ("key-update", {"endpointId": "e-1", "metadataKey": "", "metadataValue": b"1"}, 400),
        ("key-update", {"endpointId": "e-1", "metadataKey": "a", "metadataValue": b"{"}, 400),
        ("key-update", {"endpointId": "e-1", "metadataKey": "lock", "metadataValue": b"1"}, 403),
        ("key-update", {"endpointId": "e-1", "metadataKey": "a", "metadataValue": b"1" * 700_000}, 400),
        (
            "key-update",
            {"endpointId": "e-1", "metadataKey": "a", "metadataValue": b'"%b"' % (b"x" * 700_000)},
            413,
        ),
        ("key-update", {"endpointId": "e" * 5000, "metadataKey": "a", "metadataValue": b"1"}, 400),
        ("patch", {"endpointId": "e-1", "ifMatch": None, "patch": b"{}"}, 400),
        ("keys-get", {"endpointId": "none"}, 404),
        (
            "key-batch-update",
            {
                "commands": [
                    {"endpointId": "e-1", "metadataKey": "z", "metadataValue": b"1"},
                    {"endpointId": "none", "metadataKey": "z", "metadataValue": b"1"},
                ]
            },
            404,
        ),
        (
            "key-batch-update",
            {
                "commands": [
                    {"endpointId": "e-1", "metadataKey": "z", "metadataValue": b"1"},
                    {"endpointId": "e-2", "metadataKey": "z", "metadataValue": b"nonsense"},
                ]
            },
            400,
        ),
    ],
)
async def test_refusals_store_nothing(
    service: Service,
    endpoints: Any,
    listener: Listener,
    caller: EpmmpCaller,
    kind: str,
    fields: dict[str, Any],
    status: int,
) -> None:
    before = list(endpoints.find())
    answer = await caller.call(kind, **fields)
    assert answer["statusCode"] == status
    assert answer["reasonPhrase"]
    assert await listener.settle() == []
    assert list(endpoints.find()) == before


async def test_many_keys_of_many_endpoints_at_once(
    service: Service, endpoints: Any, listener: Listener, caller: EpmmpCaller
) -> None:
    endpoints.insert_many([endpoint(f"m-{n}") for n in range(499)])
    commands = [
        {"endpointId": f"m-{n}", "metadataKey": key, "metadataValue": str(n).encode()}
        for n in range(499)
        for key in ("x", "y")
    ]
    assert (await caller.call("key-batch-update", commands=commands))["statusCode"] == 200
    heard = await listener.settle()
    assert len(heard) == 499
    assert {tuple(event.fields["added"].items()) for event in heard} == {
        (("x", str(n)), ("y", str(n))) for n in range(499)
    }
    assert [event.headers["Kaa-Epr-Seq"] for event in heard] == [str(n + 1) for n in range(499)]


async def test_reads(service: Service, endpoints: Any, caller: EpmmpCaller) -> None:
    endpoints.insert_many(
        [
            {"_id": "bare"},
            {
                "_id": "gone",
                "version": Int64(3),
                "deleted_at": endpoints.database.command("hello")["localTime"],
            },
            {"_id": "v2", "application_version": "app-v2"},
        ]
    )
    assert (await caller.call("keys-get", endpointId="e-1"))["keys"] == ["a", "b"]
    assert (await caller.call("keys-get", endpointId="bare"))["keys"] == []
    assert (await caller.call("keys-get", endpointId="gone"))["statusCode"] == 404
    ids = ["e-1", "e-2", "none", "bare", "gone", "v2", "e-1"]
    answer = await caller.call("app-version", endpointIds=ids)
    assert (answer["statusCode"], answer["endpointIds"]) == (200, ids)
    assert answer["appVersionsToEndpoints"] == {"app-v1": ["e-1", "e-2"], "app-v2": ["v2"]}


async def test_malformed_and_expired_requests(
    service: Service, endpoints: Any, caller: EpmmpCaller, instance_name: str
) -> None:
    good = caller.encode("key-update", endpointId="e-1", metadataKey="a", metadataValue=b"5")
    answer = await caller.raw("key-update", good[:-1])
    assert (answer["statusCode"], answer["correlationId"], answer["endpointId"]) == (400, "c-1", "e-1")
    assert answer["reasonPhrase"].startswith("Malformed request: ")
    assert (await caller.raw("key-update", b""))["correlationId"] == ""
    late = caller.encode(
        "key-update", endpointId="e-1", metadataKey="a", metadataValue=b"5", timestamp=1, timeout=1
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await caller.raw("key-update", late)
    assert endpoints.find_one({"_id": "e-1"})["version"] == 7


async def test_writers_of_one_endpoint_lose_nothing(
    service: Service, endpoints: Any, listener: Listener, caller: EpmmpCaller
) -> None:
    async def put(n: int) -> int:
        answer = await caller.call(
            "key-update", endpointId="e-2", metadataKey=f"k{n}", metadataValue=str(n).encode()
        )
        status: int = answer["statusCode"]
        return status

    assert set(await asyncio.gather(*(put(n) for n in range(300)))) == {200}
    heard = await listener.settle()
    assert [event.version for event in heard] == list(range(8, 308))
    stored = endpoints.find_one({"_id": "e-2"})
    assert stored["version"] == 307
    assert {item["key"]: item["value"] for item in stored["metadata"]} == {
        "a": 1,
        **{f"k{n}": n for n in range(300)},
    }
