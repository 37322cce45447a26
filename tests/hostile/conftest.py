"""One service for all hostile input, and an attacker for each test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from kaa_epr.embedded import MongoServer, NatsServer
from tests.flows.register_support import connected
from tests.support.hostile.attack import Attack
from tests.support.hostile.watched import Watched, complaints, watched


@pytest.fixture(scope="module")
def endpoints(mongod: MongoServer) -> Iterator[Collection[dict[str, Any]]]:
    """The collection behind ``service``."""
    name = f"hostile_{secrets.token_hex(6)}"
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        yield client[name]["endpoints"]
        client.drop_database(name)


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory,
    nats_server: NatsServer,
    mongod: MongoServer,
    endpoints: Collection[dict[str, Any]],
) -> Iterator[Watched]:
    """A process of its own, as it is run; at the end it must have logged no bug."""
    directory = tmp_path_factory.mktemp("hostile")
    instance = f"epr{secrets.token_hex(4)}"
    with watched(directory, nats_server.url, mongod.uri, instance, endpoints.database.name) as running:
        yield running
        assert not complaints(running.told())


@pytest.fixture
async def attack(
    service: Watched, nats_server: NatsServer, endpoints: Collection[dict[str, Any]]
) -> AsyncIterator[Attack]:
    """With a connection of its own, and the bystanders as they were."""
    async with connected(nats_server.url) as nc:
        attacker = Attack(service, nc, endpoints)
        if endpoints.find_one({"_id": "bystander-0"}) is None:
            attacker.invite()
        service.told()
        yield attacker
