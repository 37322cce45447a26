"""Batch tasks among documents that are none, at their limits, and when something goes wrong for good."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import bson
import httpx
import pytest
from bson import Binary, Int64

from kaa_epr.config.settings import Settings
from kaa_epr.nats.outlet import SessionOutlet
from kaa_epr.register import tasks
from kaa_epr.register.batches import records, working
from kaa_epr.service import Service
from tests.flows.register_support import Listener, serving
from tests.support.waiting import until

VERSION: Final = {"name": "app-v1"}
HOUR: Final = timedelta(hours=1)


@pytest.fixture
def settings(settings_here: Callable[..., Settings], driver: str) -> Settings:
    limits = {"max_tasks": 4, "max_application_tasks": 2}
    return settings_here(mongo={"driver": driver}, register=limits)


@pytest.fixture
async def service(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr(tasks, "_INTERVAL", 0.1)
    monkeypatch.setattr(working, "PAUSE", 0.01)
    async with serving(settings) as running:
        yield running


@pytest.fixture
def stored(collection: Any) -> Any:
    """The collection of tasks."""
    return collection.database["endpoints.tasks"]


def task(task_id: str, *ids: str, **fields: Any) -> dict[str, Any]:
    items = [{"id": id_, "token": f"t-{id_}", "metadata": Binary(bson.encode({"n": 1}))} for id_ in ids]
    names = {"application": "app", "application_version": "app-v1", "correlation_id": "c"}
    return {"_id": task_id, **names, "endpoints": items, "state": "open", **fields}


async def post(
    http: httpx.AsyncClient, *ids: str, version: str = "app-v1", **metadata: Any
) -> httpx.Response:
    items = [{"endpointId": id_, "metadata": metadata} for id_ in ids]
    return await http.post("/endpoints/batch", json={"appVersion": {"name": version}, "endpoints": items})


async def status(http: httpx.AsyncClient, task_id: str) -> httpx.Response:
    return await http.get("/endpoints/batch/status", params={"appName": "app", "taskId": task_id})


async def finished(http: httpx.AsyncClient, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def is_finished() -> bool:
        nonlocal found
        found = (await status(http, task_id)).json()
        return bool(found["finished"])

    await until(is_finished, "finished", every=0.05)
    return found


FOREIGN: Final[tuple[dict[str, Any], ...]] = (
    {"_id": "purge", "at": datetime.now(UTC)},
    {"_id": "bare", "state": "open"},
    {"_id": Int64(7), "state": "open"},
    {"_id": {"a": 1}, "state": "open"},
    task("claim", claim="x"),
    task("taken", taken="x"),
    task("endpoints") | {"endpoints": {"a": 1}},
    task("items") | {"endpoints": [1]},
    task("settled", "f", settled=2),
    task("failed", "f", failed=[{"position": 9, "reason": "x"}]),
    task("seen", "f", seen={"versions": [1, 2]}),
    task("application") | {"application": 5},
    task("reference") | {"application": {"$ref": 1, "$id": 2}},
    task("other state") | {"state": "elsewhere"},
)


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda document: str(document["_id"]))
async def test_what_is_no_task_is_unknown_and_stands_in_nobodys_way(
    service: Service, http: httpx.AsyncClient, stored: Any, foreign: dict[str, Any]
) -> None:
    stored.insert_one(foreign)
    assert (await status(http, str(foreign["_id"]))).status_code == 404
    accepted = await post(http, "e")
    assert (await finished(http, accepted.json()["taskId"]))["createdCount"] == 1
    left = stored.find_one({"_id": foreign["_id"]}, {"state": 0, "claim": 0})
    assert set(left) >= foreign.keys() - {"state", "claim"}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"id": "f", "token": "t", "metadata": Binary(b"\x05\0\0\0\1")}, "Internal server error"),
        ({"id": "f", "token": 5, "metadata": Binary(bson.encode({}))}, "Internal server error"),
    ],
)
async def test_a_task_with_an_item_that_cannot_be_read_is_failed(
    service: Service, http: httpx.AsyncClient, stored: Any, item: dict[str, Any], reason: str
) -> None:
    stored.insert_one(task("broken") | {"endpoints": [item]})
    told = await finished(http, "broken")
    assert stored.find_one({"_id": "broken"})["failed"] == [{"position": 0, "reason": reason}]
    assert (told["failedCount"], told["failed"][0]["statusReason"]) == (1, reason)
    assert "problem" in told["failed"][0]


async def test_the_claim_of_the_purge_is_no_task(
    service: Service, http: httpx.AsyncClient, collection: Any, stored: Any
) -> None:
    claims = collection.database["endpoints.claims"]
    await until(lambda: claims.find_one({"_id": "purge"}), "claimed")
    assert (await status(http, "purge")).status_code == 404
    assert stored.find_one({"_id": "purge"}) is None


async def test_a_bug_ends_one_task_and_no_other(
    service: Service, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.register is not None
    endpoints = service.register.endpoints
    change_all = endpoints.change_all

    async def broken(commands: Any, *more: Any) -> Any:
        if "bad" in commands:
            raise ZeroDivisionError
        return await change_all(commands, *more)

    monkeypatch.setattr(endpoints, "change_all", broken)
    bad, good = await post(http, "bad", "worse", version="app-v1"), await post(http, "good")
    told = await finished(http, bad.json()["taskId"])
    assert (told["createdCount"], told["failedCount"]) == (0, 2)
    assert {each["statusReason"] for each in told["failed"]} == {"Internal server error"}
    assert (await finished(http, good.json()["taskId"]))["createdCount"] == 1
    assert service.register.stats.tasks["failed",] == 1


async def test_a_write_that_is_refused_for_an_unknown_reason_is_given_up(
    service: Service, http: httpx.AsyncClient, collection: Any
) -> None:
    """An index of somebody else's, that cannot hold two arrays of one document."""
    collection.create_index([("metadata.value.a", 1), ("metadata.value.b", 1)])
    arrays = {"m": {"a": [1], "b": [2]}}
    accepted = await http.post(
        "/endpoints/batch",
        json={
            "appVersion": VERSION,
            "endpoints": [{"endpointId": "bad", "metadata": arrays}, {"endpointId": "good", "metadata": {}}],
        },
    )
    told = await finished(http, accepted.json()["taskId"])
    assert (told["createdCount"], told["failedCount"]) == (1, 1)
    assert told["failed"][0]["statusReason"] == "The endpoint store refused the write with code 171"
    assert [document["_id"] for document in collection.find()] == ["good"]


async def test_so_many_tasks_may_wait(service: Service, http: httpx.AsyncClient, stored: Any) -> None:
    claim = {"by": "another", "at": datetime.now(UTC) + HOUR}
    stored.insert_many([task(f"t{n}", "e", claim=claim) for n in range(2)])
    refused = await post(http, "e")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["message"] == "Too many batch registrations of the application are waiting"
    assert (await post(http, "e", version="other-v1")).status_code == 202
    stored.insert_many([task(f"o{n}", "e", claim=claim) | {"application": f"o{n}"} for n in range(2)])
    await until(lambda: stored.count_documents({"state": "open"}) == 4)
    refused = await post(http, "e", version="third-v1")
    assert (refused.status_code, refused.json()["message"]) == (
        503,
        "Too many batch registrations are waiting",
    )
    assert service.register is not None
    assert service.register.stats.refused["batch_tasks",] == 2


async def test_a_task_that_is_too_large_is_refused(
    service: Service, http: httpx.AsyncClient, stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_TASK_BYTES", 1000)
    refused = await post(http, "e", text="x" * 1000)
    assert refused.status_code == 413
    assert refused.json()["message"].startswith("endpoints: ")
    assert stored.count_documents({}) == 0


async def test_a_running_task_tells_how_far_it_is(
    service: Service, http: httpx.AsyncClient, stored: Any
) -> None:
    claim = {"by": "another", "at": datetime.now(UTC) + HOUR}
    failed = [{"position": 1, "reason": "endpointId: twice in the batch"}, {"position": 3, "reason": "x"}]
    stored.insert_one(task("t", "a", "b", "c", "d", settled=3, failed=failed, claim=claim))
    assert (await status(http, "t")).json() == {
        "finished": False,
        "totalCount": 4,
        "createdCount": 2,
        "failedCount": 1,
        "created": [],
        "failed": [],
    }


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"taken": 20}, "was taken up 20 times"),
        (
            {"seen": {"at": datetime(2020, 1, 1, tzinfo=UTC), "versions": [None, None]}},
            "interrupted for so long",
        ),
    ],
)
async def test_what_can_not_be_carried_out_any_more_is_given_up(
    service: Service, http: httpx.AsyncClient, stored: Any, fields: dict[str, Any], reason: str
) -> None:
    stored.insert_one(task("t", "a", "b", settled=1, **fields))
    told = await finished(http, "t")
    assert (told["createdCount"], told["failedCount"]) == (1, 1)
    assert reason in told["failed"][0]["statusReason"]


async def test_tasks_of_before_are_still_understood(
    service: Service, http: httpx.AsyncClient, listener: Listener, stored: Any
) -> None:
    items = [{"id": "e", "token": "t", "metadata": [{"key": "r", "value": {"$ref": "a", "$id": 1}}]}]
    stored.insert_one(task("t") | {"endpoints": items})
    assert (await finished(http, "t"))["created"] == [
        {"endpointToken": "t", "endpointId": "e", "metadata": {"r": {"$ref": "a", "$id": 1}}}
    ]
    (event,) = await listener.settle()
    assert event.fields["endpointId"] == "e"


async def test_while_the_store_refuses_a_task_goes_on_later(
    service: Service, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No attempt counts that was not the endpoint's own fault."""
    tries = 0

    def away(_outlet: SessionOutlet) -> int | None:
        nonlocal tries
        tries += 1
        return None if tries < working.MOST_WRITES + 3 else 1_000_000

    monkeypatch.setattr(SessionOutlet, "max_payload", property(away))
    accepted = await post(http, "e")
    assert (await finished(http, accepted.json()["taskId"]))["createdCount"] == 1
    assert tries >= working.MOST_WRITES + 3


async def test_the_status_of_a_large_task(service: Service, http: httpx.AsyncClient, stored: Any) -> None:
    """Sent in pieces; so many at once, since each holds its task."""
    metadata = {"text": "x" * 100_000, "n": [1, 2.0, None], "r": {"$ref": "a", "$id": 1}}
    items = [{"id": f"e{n}", "token": f"t{n}", "metadata": Binary(bson.encode(metadata))} for n in range(60)]
    failed = [{"position": 59, "reason": "x"}]
    stored.insert_one(task("large") | {"endpoints": items, "state": "done", "failed": failed})
    told = (await status(http, "large")).json()
    assert [item["endpointId"] for item in told["created"]] == [f"e{n}" for n in range(59)]
    assert told["created"][0]["metadata"] == metadata
    assert json.loads(told["failed"][0]["metadata"]) == metadata


async def test_so_many_statuses_are_told_at_once(
    service: Service, http: httpx.AsyncClient, stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.insert_one(task("t", "e", claim={"by": "another", "at": datetime.now(UTC) + HOUR}))
    assert (await status(http, "t")).status_code == 200
    monkeypatch.setattr(tasks, "MAX_TOLD", 0)
    refused = await status(http, "t")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
