"""The register when NATS, MongoDB or another replica fail it: what is refused, and what is made up for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import Binary, Int64

from kaa_epr.config.settings import Settings
from kaa_epr.embedded import MongoServer, NatsServer, start_nats
from kaa_epr.messages.outgoing import EventKind, encode
from kaa_epr.mongo import indexes
from kaa_epr.mongo.errors import ForeignCollection
from kaa_epr.mongo.indexes import IndexConflict
from kaa_epr.service import Service
from tests.flows.register_support import Listener, register_settings, rest_client, serving
from tests.support.stages import Stages

pytestmark = pytest.mark.faults
QUICK = {"claim_expiry": 1, "store_timeout": 0.5}


@pytest.fixture
def settings(settings_here: Callable[..., Settings]) -> Settings:
    return settings_here(register=QUICK)


def left_behind(endpoint_id: str, claimed_at: datetime) -> dict[str, Any]:
    """An endpoint whose last change another replica wrote and did not publish."""
    event = {
        "correlationId": "lost",
        "timestamp": 1,
        "timeout": 0,
        "appVersionName": "app-v1",
        "endpointId": endpoint_id,
        "removed": {},
        "added": {"a": "1"},
        "updated": {},
        "originatorReplicaId": "dead",
    }
    payload = Binary(encode(EventKind.METADATA_UPDATED, event))
    return {
        "_id": endpoint_id,
        "application_version": "app-v1",
        "version": Int64(4),
        "metadata": [{"key": "a", "value": 1}],
        "outbox": [{"kind": "metadata-updated", "version": Int64(4), "payload": payload}],
        "outbox_claim": {"by": "dead", "id": "x", "at": claimed_at},
    }


async def test_what_a_dead_replica_left_is_published_before_anything_follows(
    settings: Settings, collection: Any, listener: Listener
) -> None:
    collection.insert_one(left_behind("e", datetime.now(UTC) - timedelta(hours=1)))
    async with serving(settings) as service, rest_client(service) as http:
        assert (await http.put("/endpoints/e/metadata/b", json=2)).headers["etag"] == '"5"'
        heard = await listener.settle()
    assert [(event.version, event.fields["correlationId"] == "lost") for event in heard] == [
        (4, True),
        (5, False),
    ]
    assert not {"outbox", "outbox_claim"} & collection.find_one({"_id": "e"}).keys()


async def test_a_living_claim_is_waited_for_and_then_refused(
    settings_here: Callable[..., Settings], collection: Any, listener: Listener
) -> None:
    # It does not expire here.
    collection.insert_one(left_behind("e", datetime.now(UTC)))
    settings = settings_here(register={**QUICK, "claim_expiry": 3600})
    async with serving(settings) as service, rest_client(service) as http:
        answer = await http.put("/endpoints/e/metadata/b", json=2)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "not published yet" in answer.json()["message"]
        assert await listener.settle() == []
    assert collection.find_one({"_id": "e"})["version"] == 4


async def test_without_nats_nothing_is_stored_and_with_it_again_all_works(
    mongod: MongoServer, mongo_database: str, instance_name: str, collection: Any, tmp_path: Path
) -> None:
    server = start_nats(tmp_path)
    settings = register_settings(server.url, mongod.uri, instance_name, mongo_database, register=QUICK)
    try:
        stages = Stages()
        async with serving(settings, stages) as service, rest_client(service) as http:
            assert service.register is not None
            register = service.register
            stages.at("written", server.stop)
            unsure = await http.post("/endpoints", json={"endpointId": "e", "appVersion": {"name": "app-v1"}})
            assert (unsure.status_code, "did not confirm" in unsure.json()["message"]) == (503, True)
            assert unsure.headers["kaa-epr-stored"] == "yes"
            assert collection.find_one({"_id": "e"})["outbox"]
            async with asyncio.timeout(20):
                while register.outlet.up:
                    await asyncio.to_thread(collection.find_one, {})
            refused = await http.put("/endpoints/e/metadata/a", json=1)
            assert (refused.status_code, "NATS" in refused.json()["message"]) == (503, True)
            assert register.problem == "NATS is not connected"
            server.restart()
            async with asyncio.timeout(30):
                while (answer := await http.put("/endpoints/e/metadata/a", json=1)).status_code == 503:
                    pass
            assert answer.headers["etag"] == '"2"'
            assert register.stats.republished == 1
    finally:
        server.stop()


async def test_without_mongo_writes_are_refused(
    nats_server: NatsServer, instance_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "_LIST_SECONDS", 1.0)
    # Nothing listens on the discard port of loopback.
    settings = register_settings(
        nats_server.url, "mongodb://127.0.0.1:9", instance_name, "x", register=QUICK, store={"timeout": 0.2}
    )
    async with serving(settings) as service, rest_client(service) as http:
        for answer in (
            await http.get("/endpoints/e"),
            await http.put("/endpoints/e/metadata/a", json=1),
            await http.get("/endpoints"),
        ):
            assert answer.status_code == 503
        report = service.health.report()
        assert report.status == "DEGRADED"
        assert report.reasons["register"] is not None


async def test_foreign_collections_are_refused_and_not_changed(
    settings: Settings, nats_server: NatsServer, mongod: MongoServer, mongo_database: str, collection: Any
) -> None:
    collection.create_index([("application", 1), ("endpoint_token", 1)], name="theirs")
    before = list(collection.list_indexes())
    service = Service(settings)
    await service.start()
    with pytest.raises(IndexConflict, match="theirs"):
        await service.wait_ready()
    await service.drain()
    assert list(collection.list_indexes()) == before
    mapped = register_settings(
        nats_server.url, mongod.uri, "epr", mongo_database, mongo={"fields": {"metadata": "attributes"}}
    )
    service = Service(mapped)
    with pytest.raises(ForeignCollection):
        await service.start()
    await service.drain()


async def test_a_batch_task_is_taken_up_where_a_dead_replica_left_it(
    settings: Settings, collection: Any, listener: Listener
) -> None:
    items = [{"id": f"b-{n}", "token": f"t{n}", "metadata": [{"key": "n", "value": n}]} for n in range(10)]
    done = {
        "_id": "b-3",
        "application": "app",
        "application_version": "app-v1",
        "endpoint_token": "t3",
        "version": Int64(1),
        "metadata": [],
        "registration": "task-1",
    }
    foreign = {**done, "_id": "b-4", "endpoint_token": "other", "registration": "another"}
    collection.insert_many([done, foreign])
    collection.database["endpoints.tasks"].insert_one(
        {
            "_id": "task-1",
            "application": "app",
            "application_version": "app-v1",
            "correlation_id": "c",
            "endpoints": items,
            "state": "open",
            "claim": {"by": "dead", "at": datetime.now(UTC) - timedelta(hours=1)},
        }
    )
    query = {"appName": "app", "taskId": "task-1"}
    async with serving(settings) as service, rest_client(service) as http, asyncio.timeout(30):
        await listener.wait_for(8)
        while not (status := (await http.get("/endpoints/batch/status", params=query)).json())["finished"]:
            pass
    assert (status["createdCount"], status["failedCount"]) == (9, 1)
    assert status["failed"][0]["endpointToken"] == "t4"
    assert {event.fields["endpointId"] for event in listener.heard} == {
        f"b-{n}" for n in range(10) if n not in (3, 4)
    }
