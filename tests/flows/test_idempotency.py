"""Registrations that are sent again with their Idempotency-Key, to any replica, whoever dies when."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import pytest

from kaa_epr.config.register import SecuritySettings
from kaa_epr.config.settings import Settings
from kaa_epr.http.auth import Authenticator
from kaa_epr.mongo import open_store
from kaa_epr.mongo.idempotency import KEEP_SECONDS
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.nats.outlet import SessionOutlet
from kaa_epr.nats.publishing import publishing
from kaa_epr.refusals import Stored, Superseded, Unavailable
from kaa_epr.register import idempotency
from kaa_epr.register.batches.records import NewEndpoint
from kaa_epr.register.decide.api import Request
from kaa_epr.register.endpoints import Registration
from kaa_epr.register.idempotency import KeyedRequest, Once, Registered
from kaa_epr.register.stats import Stats
from kaa_epr.register.tasks import BatchTasks
from tests.flows.register_support import Listener, rest_client, serving
from tests.flows.test_batch_crashes import Halting, register_of, value_of
from tests.support.planning import brought, items

VERSION: Final = {"name": "app-v1"}
BODY: Final = json.dumps({"appVersion": VERSION, "metadata": {"a": 1}})
SECONDS: Final = 20.0


def keyed(key: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Idempotency-Key": key}


async def post(
    http: httpx.AsyncClient, key: str, body: str = BODY, path: str = "/endpoints"
) -> httpx.Response:
    return await http.post(path, content=body, headers=keyed(key))


@pytest.fixture
async def https(settings_here: Callable[..., Settings]) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of two replicas."""
    async with (
        serving(settings_here()) as first,
        serving(settings_here()) as second,
        rest_client(first) as one,
        rest_client(second) as other,
    ):
        yield [one, other]


# --- over REST ----------------------------------------------------------------------------------------------
async def test_a_repeated_registration_gets_the_first_ones_answer(
    https: list[httpx.AsyncClient], listener: Listener, collection: Any
) -> None:
    first = await post(https[0], "k-1")
    assert (first.status_code, "idempotency-replayed" in first.headers) == (201, False)
    for http in https:
        again = await post(http, "k-1")
        assert (again.status_code, again.json()) == (201, first.json())
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["location"].endswith(f"/endpoints/{first.json()['endpointId']}")
    assert [event.kind for event in await listener.settle()] == ["ep-registered"]
    assert collection.count_documents({}) == 1
    other = await post(https[0], "k-2")
    assert other.json()["endpointId"] != first.json()["endpointId"]


async def test_a_key_that_is_used_for_something_else_is_refused(https: list[httpx.AsyncClient]) -> None:
    assert (await post(https[0], "k")).status_code == 201
    for body, path in ((BODY + " ", "/endpoints"), (batch_of(1), "/endpoints/batch")):
        refused = await post(https[1], "k", body, path)
        message = {"message": "Idempotency-Key: was used with another request"}
        assert (refused.status_code, refused.json()) == (422, message)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_keys_are_bounded(https: list[httpx.AsyncClient], key: str, collection: Any) -> None:
    refused = await post(https[0], key)
    assert refused.status_code == 400
    assert refused.json()["message"] == "Idempotency-Key: must be 1 to 255 printable ASCII characters"
    assert collection.count_documents({}) == 0
    assert (await post(https[0], "x" * 255)).status_code == 201
    assert (await post(https[0], '"a quoted one"')).status_code == 201


async def test_requests_at_the_same_moment_make_one_endpoint(
    https: list[httpx.AsyncClient], listener: Listener, collection: Any
) -> None:
    answers = await asyncio.gather(*(post(https[number % 2], "k") for number in range(20)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {201, 409}
    assert statuses[201] >= 1
    for answer in answers:
        if answer.status_code == 409:
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["message"].startswith("Idempotency-Key: ")
    assert len({answer.json()["endpointId"] for answer in answers if answer.status_code == 201}) == 1
    assert collection.count_documents({}) == 1
    assert [event.kind for event in await listener.settle()] == ["ep-registered"]


async def test_what_was_refused_for_good_may_be_tried_again_with_its_key(
    https: list[httpx.AsyncClient],
) -> None:
    body = json.dumps({"appVersion": VERSION, "endpointId": "e"})
    assert (await https[0].post("/endpoints", content=body, headers=keyed("k-0"))).status_code == 201
    taken = await post(https[0], "k", body)
    assert (taken.status_code, taken.json()["message"]) == (
        409,
        "endpointId: an endpoint with this ID exists",
    )
    assert (await https[0].delete("/endpoints/e")).status_code == 204
    made = await post(https[1], "k", body)
    assert (made.status_code, "idempotency-replayed" in made.headers) == (201, False)
    assert (await post(https[0], "k", body)).headers["etag"] == made.headers["etag"]


async def test_a_deleted_endpoint_is_not_made_again_by_a_repeated_request(
    https: list[httpx.AsyncClient], collection: Any
) -> None:
    first = await post(https[0], "k")
    assert (await https[0].delete(f"/endpoints/{first.json()['endpointId']}")).status_code == 204
    again = await post(https[1], "k")
    assert (again.status_code, again.json()) == (201, first.json())
    assert collection.count_documents({"deleted_at": None}) == 0


def batch_of(count: int) -> str:
    return json.dumps({"appVersion": VERSION, "endpoints": [{"metadata": {"n": n}} for n in range(count)]})


async def test_a_repeated_batch_is_accepted_once(
    https: list[httpx.AsyncClient], listener: Listener, collection: Any
) -> None:
    path = "/endpoints/batch"
    first = await post(https[0], "k", batch_of(5), path)
    assert (first.status_code, "idempotency-replayed" in first.headers) == (202, False)
    await listener.wait_for(5)
    answers = await asyncio.gather(*(post(http, "k", batch_of(5), path) for http in https))
    for again in answers:
        assert (again.status_code, again.json()) == (202, first.json())
        assert again.headers["idempotency-replayed"] == "true"
        assert (
            again.headers["location"].partition("/api/")[2] == first.headers["location"].partition("/api/")[2]
        )
    assert collection.count_documents({}) == 5
    assert (await post(https[0], "k", batch_of(6), path)).status_code == 422


async def test_a_large_batch_has_its_fingerprint_too(https: list[httpx.AsyncClient]) -> None:
    body = batch_of(3) + " " * 300_000
    path = "/endpoints/batch"
    first = await post(https[0], "k", body, path)
    assert (await post(https[1], "k", body, path)).json() == first.json()
    assert (await post(https[1], "k", body[:-1], path)).status_code == 422


async def test_reservations_are_forgotten_after_a_day(
    https: list[httpx.AsyncClient], collection: Any
) -> None:
    await post(https[0], "k")
    requests = collection.database[f"{collection.name}.requests"]
    assert requests.index_information()["reserved_at"]["expireAfterSeconds"] == KEEP_SECONDS == 24 * 3600
    (kept,) = requests.find()
    assert abs(kept["reserved_at"].timestamp() + time.timezone - time.time()) < 3600 * 24
    # Neither the key nor who chose it can be read there.
    assert "k" not in json.dumps(kept, default=str).replace("token", "").split('"')


async def test_callers_do_not_share_their_keys() -> None:
    keys = [KeyedRequest(caller, "k", "register", b"").id for caller in (None, "sub:a", "sub:b")]
    assert len(set(keys)) == 3
    open_ = Authenticator(SecuritySettings(enabled=False), Counter())
    assert await open_.check(None, "scope") is None


# --- replicas that die --------------------------------------------------------------------------------------
STEPS: Final = ("versions", "reserve_request", "current", "upsert", "finish_request")
"""Of the store, as a replica that registers an endpoint takes them."""


class Replica:
    """What a register needs to carry out requests that have keys."""

    def __init__(self, store: Any, outlet: SessionOutlet, settings: Settings, name: str) -> None:
        self.pipeline, self.endpoints = register_of(name, store, outlet, settings)
        self.tasks = BatchTasks(self.endpoints, value_of, name, SECONDS, Stats())
        self.once = Once(self.endpoints, self.tasks, SECONDS, 60.0)

    async def register(self, endpoint_id: str | None = None) -> Registered:
        request = KeyedRequest(None, "k", "register", b"body")
        new = Registration("app", "app-v1", f"token of {id(self)}", items({"a": 1}))
        return await self.once.register(request, new, endpoint_id, "c")

    async def accept(self) -> tuple[str, bool]:
        request = KeyedRequest(None, "k", "batch", b"body")
        return await self.once.accept(request, "app", "app-v1", [NewEndpoint("e", "t", brought({}))], "c")

    async def delete(self, endpoint_id: str) -> None:
        command = self.endpoints.planner.unregister()
        await self.pipeline.submit(endpoint_id, Request(command, "c"))


@pytest.fixture
def settings(settings_here: Callable[..., Settings], driver: str) -> Settings:
    return settings_here(mongo={"driver": driver})


@asynccontextmanager
async def replicas(settings: Settings) -> AsyncIterator[Callable[..., Replica]]:
    """Makes replicas; ``halting`` makes of the store one that halts."""
    store = open_store(settings.mongo, settings.store)
    made: list[Replica] = []
    try:
        await store.ensure_tasks(SECONDS)
        await store.ensure_requests(SECONDS)
        async with publishing(settings.nats, "test", SECONDS) as outlet:

            def make(halting: Callable[[RegisterStore], Any] | None = None) -> Replica:
                opened = halting(store) if halting else store
                made.append(Replica(opened, outlet, settings, f"r{len(made)}"))
                return made[-1]

            yield make
            for replica in made:
                await replica.pipeline.drain(SECONDS)
    finally:
        await store.close()


@pytest.fixture
def claims_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once: who takes over need not wait until the first is known to be dead."""
    monkeypatch.setattr(idempotency, "_EXPIRY", 0.0)


@pytest.mark.faults
@pytest.mark.usefixtures("claims_expire")
@pytest.mark.parametrize("paused", [False, True], ids=["dies", "goes on"])
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_replica_that_halts_at_any_step_makes_no_second_endpoint(
    settings: Settings, collection: Any, step: str, behind: bool, paused: bool
) -> None:
    async with replicas(settings) as make:
        halts: list[Halting] = []

        def halting(store: RegisterStore) -> Halting:
            halts.append(Halting(store, step, 1, behind=behind))
            return halts[0]

        first = make(halting)
        given = "e" if step == "versions" else None
        trying = asyncio.create_task(first.register(given))
        await asyncio.wait_for(halts[0].halted.wait(), SECONDS)
        if not paused:
            trying.cancel()
            await asyncio.wait({trying})
        try:
            made = await make().register(given)
        except Unavailable as unavailable:
            # Stored, and its event is not published: nobody else may, until that claim expires.
            told = unavailable.stored
            halts[0].goes_on.set()
            await first.pipeline.drain(SECONDS)
            made = await make().register(given)
        else:
            told = Stored.UNKNOWN
        assert told is Stored.UNKNOWN
        again = await make().register(given)
        assert (again.endpoint_id, again.token, again.replayed) == (made.endpoint_id, made.token, True)
        halts[0].goes_on.set()
        if paused:
            late = await trying
            assert (late.endpoint_id, late.token) == (made.endpoint_id, made.token)
        await first.pipeline.drain(SECONDS)
        assert [document["_id"] for document in collection.find()] == [made.endpoint_id]
        assert collection.find_one()["endpoint_token"] == made.token


@pytest.mark.faults
@pytest.mark.usefixtures("claims_expire")
@pytest.mark.parametrize("step", ["upsert", "finish_request"])
async def test_what_was_deleted_since_is_not_registered_again(
    settings: Settings, collection: Any, step: str
) -> None:
    """The first try registered the endpoint, and its replica died before it could say so."""
    async with replicas(settings) as make:
        halts: list[Halting] = []

        def halting(store: RegisterStore) -> Halting:
            halts.append(Halting(store, step, 1, behind=step == "upsert"))
            return halts[0]

        trying = asyncio.create_task(make(halting).register("e"))
        await asyncio.wait_for(halts[0].halted.wait(), SECONDS)
        trying.cancel()
        halts[0].goes_on.set()
        await asyncio.wait({trying})
        await make().delete("e")
        with pytest.raises(Superseded):
            await make().register("e")
        assert collection.find_one({"_id": "e"})["deleted_at"] is not None


@pytest.mark.faults
@pytest.mark.usefixtures("claims_expire")
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("step", ["reserve_request", "open_tasks", "add_task", "finish_request"])
async def test_a_replica_that_halts_accepts_no_second_batch(
    settings: Settings, collection: Any, step: str, behind: bool
) -> None:
    async with replicas(settings) as make:
        halts: list[Halting] = []

        def halting(store: RegisterStore) -> Halting:
            halts.append(Halting(store, step, 1, behind=behind))
            return halts[0]

        trying = asyncio.create_task(make(halting).accept())
        await asyncio.wait_for(halts[0].halted.wait(), SECONDS)
        accepted, _ = await make().accept()
        halts[0].goes_on.set()
        assert (await trying)[0] == accepted
        assert (await make().accept()) == (accepted, True)
        tasks = collection.database[f"{collection.name}.tasks"]
        assert [task["_id"] for task in tasks.find()] == [accepted]


async def test_a_request_under_way_is_nobody_elses(settings: Settings, collection: Any) -> None:
    async with replicas(settings) as make:
        halts: list[Halting] = []

        def halting(store: RegisterStore) -> Halting:
            halts.append(Halting(store, "upsert", 1, behind=False))
            return halts[0]

        trying = asyncio.create_task(make(halting).register())
        await asyncio.wait_for(halts[0].halted.wait(), SECONDS)
        with pytest.raises(idempotency.UnderWay):
            await make().register()
        halts[0].goes_on.set()
        made = await trying
        assert not made.replayed
        assert (await make().register()).endpoint_id == made.endpoint_id


async def test_a_first_try_that_is_too_old_is_not_tried_again(
    settings: Settings, collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tombstone of what was deleted meanwhile may be gone: nobody knows."""
    monkeypatch.setattr(idempotency, "_EXPIRY", 0.0)
    async with replicas(settings) as make:
        halts: list[Halting] = []

        def halting(store: RegisterStore) -> Halting:
            halts.append(Halting(store, "upsert", 1, behind=False))
            return halts[0]

        trying = asyncio.create_task(make(halting).register())
        await asyncio.wait_for(halts[0].halted.wait(), SECONDS)
        trying.cancel()
        await asyncio.wait({trying})
        requests = collection.database[f"{collection.name}.requests"]
        requests.update_one({}, [{"$set": {"reserved_at": {"$subtract": ["$reserved_at", 31_000]}}}])
        with pytest.raises(Superseded):
            await make().register()
        halts[0].goes_on.set()
