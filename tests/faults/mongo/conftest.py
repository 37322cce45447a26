"""A replica set of three, once a session, and a scene on it."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from kaa_epr.embedded import NatsServer
from tests.faults.scene import Scene
from tests.support.replica_set import ReplicaSet
from tests.support.writers import ForeignWriter


@pytest.fixture(scope="session")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    with ReplicaSet(tmp_path_factory.mktemp("replica-set")) as made:
        yield made


@pytest.fixture
async def scene(
    tmp_path: Path, replica_set: ReplicaSet, instance_name: str, server: NatsServer
) -> AsyncIterator[Scene]:
    """With writers that outlive an election and a primary that hangs, and wait for the majority."""
    made = Scene(tmp_path, replica_set.uri, f"faults_{instance_name}", instance_name)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        replica_set.uri, serverSelectionTimeoutMS=30_000, socketTimeoutMS=2_000
    )
    made.collection = client[made.database]["endpoints"]
    await made.fill()
    made.getter(server.url)
    made.bulk(server.url)
    made.writers.append(
        ForeignWriter(
            made.judge,
            made.collection,
            made.foreign_ids,
            originator="stock",
            urls=[server.url],
            w="majority",
            rate=20.0,
        )
    )
    yield made
    await client.close()
    await made.close()
    gc.collect()  # PyMongo leaves sockets of members that were killed to the collector, which warns
