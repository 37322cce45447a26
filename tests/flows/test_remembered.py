"""Documents that a register remembers: what is not read, and that others' changes are never overlooked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from bson import Int64

from kaa_epr.config.settings import Settings
from kaa_epr.register.commit import pipeline
from kaa_epr.service import Service
from tests.flows.register_support import Listener, rest_client, serving
from tests.support.stages import Stages
from tests.support.store_commands import COMMANDS
from tests.support.waiting import until


@pytest.fixture
def stages() -> Stages:
    return Stages()


@pytest.fixture
async def service(
    settings_here: Callable[..., Settings], driver: str, stages: Stages, collection: Any
) -> AsyncIterator[Service]:
    document = {"_id": "e", "application": "app", "application_version": "app-v1", "version": Int64(1)}
    collection.insert_one(document | {"metadata": [{"key": "a", "value": 1}]})
    # No claim expires here.
    register = {"remembered_bytes": "1MiB", "claim_expiry": 3600}
    settings = settings_here(mongo={"driver": driver}, register=register)
    async with serving(settings, stages) as running:
        yield running


@pytest.fixture
async def known(http: httpx.AsyncClient, stages: Stages, mongo_database: str) -> httpx.AsyncClient:
    """The register has written ``e``, and remembers it at version 2; its commands are counted from here."""
    assert (await http.put("/endpoints/e/metadata/a", json=2)).headers["etag"] == '"2"'
    await stages.until("cleared", 1)
    COMMANDS.watch(mongo_database)
    return http


@pytest.fixture
async def other(settings_here: Callable[..., Settings]) -> AsyncIterator[httpx.AsyncClient]:
    """Another replica."""
    async with serving(settings_here()) as running, rest_client(running) as client:
        yield client


def outdated(service: Service) -> tuple[int, int]:
    """Plans that were made anew, and races."""
    assert service.register is not None
    return service.register.stats.outdated, service.register.stats.races


async def test_what_was_written_last_is_not_read(
    service: Service, known: httpx.AsyncClient, stages: Stages, collection: Any, listener: Listener
) -> None:
    for version in range(3, 8):
        answer = await known.put("/endpoints/e/metadata/b", json=version)
        assert answer.headers["etag"] == f'"{version}"'
        await stages.until("cleared", version - 1)
    assert COMMANDS.seen == {"update": 10}
    stored = collection.find_one({"_id": "e"})
    assert stored["metadata"] == [{"key": "a", "value": 2}, {"key": "b", "value": 7}]
    assert [event.version for event in await listener.settle()] == list(range(3, 8))
    assert outdated(service) == (0, 0)


async def test_what_changes_nothing_is_confirmed_and_stays_known(
    known: httpx.AsyncClient,
) -> None:
    """The majority may hear later than the primary that the outbox was cleared: so not counted at first."""
    assert (await known.put("/endpoints/e/metadata/a", json=2)).headers["etag"] == '"2"'
    COMMANDS.seen.clear()
    for _ in range(3):
        assert (await known.put("/endpoints/e/metadata/a", json=2)).headers["etag"] == '"2"'
    assert COMMANDS.seen == {"find": 3}
    assert (await known.put("/endpoints/e/metadata/a", json=3)).headers["etag"] == '"3"'
    assert COMMANDS.seen["find"] == 3


async def test_a_change_by_others_is_met_without_a_pause(
    service: Service,
    known: httpx.AsyncClient,
    other: httpx.AsyncClient,
    collection: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "_FIRST_PAUSE", 3600.0)
    monkeypatch.setattr(pipeline, "_LONGEST_PAUSE", 3600.0)
    assert (await other.put("/endpoints/e/metadata/b", json=1)).headers["etag"] == '"3"'
    await until(lambda: collection.find_one({"_id": "e", "outbox": {"$exists": False}}), "cleared")
    answer = await known.put("/endpoints/e/metadata/c", json=1)
    assert answer.headers["etag"] == '"4"'
    assert (await known.get("/endpoints/e/metadata")).json() == {"a": 2, "b": 1, "c": 1}
    assert outdated(service) == (1, 0)


async def test_nothing_is_refused_or_taken_for_done_by_what_is_not_true_any_more(
    service: Service, known: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    async def put(etag: str, value: int) -> int:
        answer = await known.put("/endpoints/e/metadata/a", json=value, headers={"If-Match": etag})
        return answer.status_code

    await other.put("/endpoints/e/metadata/a", json=5)
    assert await put('"3"', 6) == 200, "the other replica's version"
    await other.put("/endpoints/e/metadata/a", json=7)
    assert await put('"4"', 8) == 412, "the version that is remembered"
    await other.put("/endpoints/e/metadata/a", json=9)
    assert await put("*", 7) == 200, "the value that is remembered"
    assert (await known.get("/endpoints/e/metadata")).json() == {"a": 7}
    assert (await other.delete("/endpoints/e")).status_code == 204
    assert (await known.put("/endpoints/e/metadata/a", json=7)).status_code == 404
    assert outdated(service)[1] == 0


async def test_what_others_deleted_is_registered_and_what_they_registered_is_taken(
    known: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    body = {"endpointId": "e", "appVersion": {"name": "app-v1"}}
    assert (await other.delete("/endpoints/e")).status_code == 204
    made = await known.post("/endpoints", json=body)
    assert (made.status_code, made.headers["etag"]) == (201, '"4"')
    assert (await known.delete("/endpoints/e")).status_code == 204
    assert (await other.post("/endpoints", json=body)).status_code == 201
    assert (await known.post("/endpoints", json=body)).status_code == 409


async def test_a_tombstone_that_is_purged_is_not_remembered(
    known: httpx.AsyncClient, stages: Stages, collection: Any
) -> None:
    assert (await known.delete("/endpoints/e")).status_code == 204
    await stages.until("cleared", 2)
    collection.delete_one({"_id": "e"})
    made = await known.post("/endpoints", json={"endpointId": "e", "appVersion": {"name": "app-v1"}})
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')


async def test_an_outbox_that_another_took_over_is_waited_for(
    known: httpx.AsyncClient, collection: Any
) -> None:
    claim = {"by": "another", "id": "x", "at": datetime.now(UTC)}
    collection.update_one({"_id": "e"}, {"$set": {"version": Int64(3), "outbox": [], "outbox_claim": claim}})
    refused = await known.put("/endpoints/e/metadata/a", json=7)
    assert (refused.status_code, "not published yet" in refused.text) == (503, True)
    assert collection.find_one({"_id": "e"})["version"] == 3


async def test_documents_without_version_are_read(
    service: Service, http: httpx.AsyncClient, collection: Any, mongo_database: str
) -> None:
    collection.insert_one({"_id": "f", "metadata": [{"key": "a", "value": 1}]})
    COMMANDS.watch(mongo_database)
    for _ in range(2):
        assert (await http.put("/endpoints/f/metadata/a", json=1)).status_code == 200
    assert COMMANDS.seen == {"find": 4}


async def test_by_default_none_is_kept(
    settings_here: Callable[..., Settings], collection: Any, mongo_database: str
) -> None:
    collection.insert_one({"_id": "e", "version": Int64(1), "metadata": []})
    stages = Stages()
    async with serving(settings_here(), stages) as service, rest_client(service) as http:
        COMMANDS.watch(mongo_database)
        for count in (1, 2):
            assert (await http.put("/endpoints/e/metadata/a", json=count)).status_code == 200
            await stages.until("cleared", count)
    assert COMMANDS.seen == {"find": 2, "update": 4}
