"""Tombstones are forgotten in time, never too early, and by one replica at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Int64

from kaa_epr.config.load import load
from kaa_epr.config.problems import ConfigError
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.mongo.indexes import ensure_indexes
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.register.purge import Purge
from tests.flows.register_support import register_settings, rest_client, serving
from tests.support.waiting import until

DAY = 86_400.0


def tombstone(endpoint_id: str, days: float, **fields: Any) -> dict[str, Any]:
    deleted_at = datetime.now(UTC) - timedelta(days=days)
    return {"_id": endpoint_id, "version": Int64(7), "deleted_at": deleted_at, **fields}


async def test_only_old_tombstones_without_events_are_deleted(store: RegisterStore, collection: Any) -> None:
    collection.insert_many(
        [
            tombstone("old", 31),
            tombstone("young", 29),
            tombstone("untold", 31, outbox=[{}]),
            tombstone("foreign", 31) | {"deleted_at": "long ago"},
            {"_id": "alive", "version": Int64(1)},
            {"_id": "null", "deleted_at": None},
        ]
    )
    assert await Purge(store, 30 * DAY, 5).purge() == 1
    assert sorted(collection.distinct("_id")) == ["alive", "foreign", "null", "untold", "young"]


async def test_more_than_one_batch_by_the_index(store: RegisterStore, collection: Any) -> None:
    await ensure_indexes(store)
    collection.insert_many([tombstone(f"e{n}", 31) for n in range(2500)])
    purge = Purge(store, 30 * DAY, 5)
    assert await purge.purge() == 2500
    assert purge.purged == 2500
    plan = collection.find({"deleted_at": {"$exists": True, "$type": "date"}}).sort("deleted_at", 1).explain()
    assert "living" in str(plan["queryPlanner"]["winningPlan"])


async def test_one_replica_at_a_time(store: RegisterStore) -> None:
    assert await store.claim_purge(60, 5)
    assert not await store.claim_purge(60, 5)
    await until(lambda: store.claim_purge(0.05, 5))


async def test_the_register_forgets_in_time_and_begins_anew(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str, collection: Any
) -> None:
    collection.insert_many([tombstone("old", 2), tombstone("young", 0.5)])
    settings = register_settings(
        nats_server.url,
        mongod.uri,
        instance_name,
        mongo_database,
        register={"tombstone_retention": DAY},
    )
    async with serving(settings) as service:
        assert service.register is not None
        await until(lambda: service.register is not None and service.register.purge.purged)
        async with rest_client(service, 5) as http:
            versions = []
            for endpoint_id in ("old", "young"):
                body = {"endpointId": endpoint_id, "appVersion": {"name": "app-v1"}}
                (await http.post("/endpoints", json=body)).raise_for_status()
                versions.append(collection.find_one({"_id": endpoint_id})["version"])
    assert versions == [1, 8]


def test_a_retention_that_a_cache_outlives_is_refused() -> None:
    flags = {"register.enabled": True, "register.security.enabled": False}
    with pytest.raises(ConfigError, match=r"twice cache\.max_age"):
        load(None, flags={**flags, "register.tombstone_retention": 3600})
    kept = load(None, flags={**flags, "register.tombstone_retention": 0}).settings
    assert kept.register_.tombstone_retention == 0
