"""Each role alone: a register that answers no reads, a responder that takes no writes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bson import Int64
from nats.aio.client import Client as NatsClient
from nats.errors import NoRespondersError
from pymongo import MongoClient

from kaa_epr.client import EpmmpClient
from kaa_epr.config.load import load
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.errors import KaaEprError
from tests.flows.register_support import EpmmpCaller, connected, register_settings, serving

UPDATE = {"endpointId": "e-1", "metadataKey": "room", "metadataValue": b'"14"'}


@pytest.fixture
def stored(mongod: MongoServer, mongo_database: str) -> str:
    document = {
        "_id": "e-1",
        "application_version": "app-v1",
        "version": Int64(1),
        "metadata": [{"key": "room", "value": "12"}],
    }
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        client[mongo_database]["endpoints"].insert_one(document)
    return mongo_database


async def names_of_endpoints(nc: NatsClient, instance: str) -> set[str]:
    answer = await nc.request(f"$SRV.INFO.{instance}", timeout=10)
    return {endpoint["name"] for endpoint in json.loads(answer.data)["endpoints"]}


async def test_a_register_alone_answers_no_reads(
    nats_server: NatsServer, mongod: MongoServer, stored: str, instance_name: str
) -> None:
    settings = register_settings(
        nats_server.url,
        mongod.uri,
        instance_name,
        stored,
        responder={"enabled": False},
        invalidation={"change_stream": True},
    )
    async with serving(settings) as service, connected(nats_server.url) as nc:
        assert service.witness.reader is None
        assert service.witness.scrubber is None
        caller = EpmmpCaller(nc, instance_name)
        assert (await caller.call("key-update", **UPDATE))["statusCode"] == 200
        for kind, fields in (("keys-get", {"endpointId": "e-1"}), ("app-version", {"endpointIds": ["e-1"]})):
            with pytest.raises(NoRespondersError):
                await caller.call(kind, **fields)
        names = await names_of_endpoints(nc, instance_name)
        assert names
        assert not any("get" in name or "app-version" in name for name in names)


async def test_a_responder_beside_it_sees_its_writes(
    nats_server: NatsServer, mongod: MongoServer, stored: str, instance_name: str
) -> None:
    writes = register_settings(
        nats_server.url, mongod.uri, instance_name, stored, responder={"enabled": False}
    )
    reads = register_settings(nats_server.url, mongod.uri, instance_name, stored, register={"enabled": False})
    async with (
        serving(writes),
        serving(reads),
        connected(nats_server.url) as nc,
        EpmmpClient(servers=[nats_server.url], repository=instance_name, timeout=10) as client,
    ):
        assert (await client.get("e-1")).metadata == {"room": "12"}
        assert (await EpmmpCaller(nc, instance_name).call("key-update", **UPDATE))["statusCode"] == 200
        assert (await client.get("e-1")).metadata == {"room": "14"}


def test_no_role_at_all_is_refused() -> None:
    with pytest.raises(KaaEprError, match=r"responder\.enabled"):
        load(environ={}, flags={"responder.enabled": False})
