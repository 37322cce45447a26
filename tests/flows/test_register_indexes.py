"""What the register asks again and again never reads a whole collection, however many endpoints there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from bson import Int64
from pymongo import MongoClient

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings
from kaa_epr.embedded import MongoServer
from kaa_epr.mongo import open_store
from kaa_epr.mongo.indexes import ensure_indexes
from kaa_epr.mongo.register_api import RegisterStore

SECONDS = 5.0


@pytest.fixture
async def store(mongod: MongoServer, mongo_database: str) -> AsyncIterator[RegisterStore]:
    opened = open_store(MongoSettings(uri=mongod.uri, database=mongo_database), StoreSettings())
    await ensure_indexes(opened)
    await opened.ensure_tasks(SECONDS)
    yield opened
    await opened.close()


@pytest.fixture
def scans_refused(mongod: MongoServer, mongo_database: str) -> Iterator[None]:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        documents = [{"_id": f"e{n}", "version": Int64(1)} for n in range(20)]
        client[mongo_database].endpoints.insert_many(documents)
        client.admin.command({"setParameter": 1, "notablescan": True})
        yield
        client.admin.command({"setParameter": 1, "notablescan": False})


@pytest.mark.usefixtures("scans_refused")
async def test_what_is_asked_periodically_is_found_by_an_index(store: RegisterStore) -> None:
    assert await store.outboxes("replica", 15.0, 256, SECONDS) == []
    assert await store.backlog(SECONDS) == (0, 0.0)
    assert await store.purge_tombstones(60.0, 100, SECONDS) == 0
    assert await store.claim_task("replica", 15.0, SECONDS) is None
    assert await store.open_tasks("app", SECONDS) == (0, 0)
