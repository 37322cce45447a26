"""Batch tasks of replicas that die, or are paused, at any step: no endpoint is registered twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from kaa_epr.config.settings import Settings
from kaa_epr.mongo import open_store
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.nats.outlet import SessionOutlet
from kaa_epr.nats.publisher import Publisher
from kaa_epr.nats.publishing import publishing
from kaa_epr.nats.writer import WriterNumbers
from kaa_epr.register.batches import working
from kaa_epr.register.batches.records import NewEndpoint, TaskRecord, new_document
from kaa_epr.register.batches.working import Work
from kaa_epr.register.commit.collaborators import Collaborators, PipelineLimits, event_limit
from kaa_epr.register.commit.pipeline import Pipeline
from kaa_epr.register.decide.api import Request
from kaa_epr.register.decide.planners import select_planner
from kaa_epr.register.endpoints import Endpoints
from kaa_epr.register.intake.applications import Applications
from kaa_epr.register.intake.engines import select_intake
from kaa_epr.register.limits import rules_of
from tests.support.planning import brought

pytestmark = pytest.mark.faults
SECONDS: Final = 20.0
value_of: Final = select_intake("auto").value_of
IDS: Final = ("a", "b", "c", "d", "e")
STEPS: Final = ("versions", "begin_task", "current", "upsert", "note_progress", "finish_task")
"""Of the store, as a replica that carries a task out takes them."""


class Halting:
    """The store of a replica that halts at the ``number``-th step of one name, before or behind it."""

    def __init__(self, store: RegisterStore, step: str, number: int, *, behind: bool) -> None:
        self._store = store
        self._step = step
        self._left = number
        self._behind = behind
        self.halted = asyncio.Event()
        self.goes_on = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return self._halting(method) if name == self._step else method

    def _halting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def halting(*args: Any) -> Any:
            self._left -= 1
            if self._left:
                return await method(*args)
            done = await method(*args) if self._behind else None
            self.halted.set()
            await self.goes_on.wait()
            return done if self._behind else await method(*args)

        return halting


def register_of(
    name: str, store: Any, outlet: SessionOutlet, settings: Settings
) -> tuple[Pipeline, Endpoints]:
    """What a replica changes endpoints with."""
    planner = select_planner(settings.engine, rules_of(settings.register_))
    collaborators = Collaborators(
        store,
        Publisher("epr", outlet, WriterNumbers("epr")),
        planner,
        lambda: event_limit(outlet.max_payload),
        name,
        PipelineLimits(store_timeout=SECONDS),
    )
    pipeline = Pipeline(collaborators)
    return pipeline, Endpoints(store, pipeline, planner, Applications(settings.kaa), SECONDS)


class Replica:
    """A register's pipeline, and tasks that it works on."""

    def __init__(self, name: str, store: Any, outlet: SessionOutlet, settings: Settings) -> None:
        self.name = name
        self.store = store
        self.pipeline, self.endpoints = register_of(name, store, outlet, settings)

    async def work(self) -> bool:
        """Takes over whatever is open, whoever has it."""
        task = await self.store.claim_task(self.name, 0.0, SECONDS)
        assert task is not None
        record = TaskRecord.of_stored(task)
        return await Work(self.endpoints, self.name, SECONDS, record, value_of, 60).carry_out()

    async def delete(self, endpoint_id: str) -> None:
        command = self.endpoints.planner.unregister()
        await self.pipeline.submit(endpoint_id, Request(command, "c"))


@pytest.fixture
def settings(settings_here: Callable[..., Settings], driver: str) -> Settings:
    return settings_here(mongo={"driver": driver})


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "PORTION", 2)
    monkeypatch.setattr(working, "PAUSE", 0.01)


@asynccontextmanager
async def replicas(settings: Settings) -> AsyncIterator[Callable[..., Replica]]:
    """Makes replicas; a store of None is the real one."""
    store = open_store(settings.mongo, settings.store)
    made: list[Replica] = []
    try:
        await store.ensure_tasks(SECONDS)
        async with publishing(settings.nats, "test", SECONDS) as outlet:

            def make(name: str, halting: Callable[[RegisterStore], Any] | None = None) -> Replica:
                made.append(Replica(name, halting(store) if halting else store, outlet, settings))
                return made[-1]

            yield make
            for replica in made:
                await replica.pipeline.drain(0 if isinstance(replica.store, Halting) else SECONDS)
    finally:
        await store.close()


async def add_task(store: RegisterStore) -> None:
    items = [NewEndpoint(endpoint_id, f"t-{endpoint_id}", brought({"n": 1})) for endpoint_id in IDS]
    await store.add_task(await new_document("task", "app", "app-v1", items, "c"), SECONDS)


def swept(collection: Any) -> None:
    """As a sweeper does with the outboxes that a dead replica left."""
    collection.update_many({}, {"$unset": {"outbox": "", "outbox_claim": ""}})


def living(collection: Any) -> dict[str, int]:
    return {document["_id"]: document["version"] for document in collection.find({"deleted_at": None})}


@pytest.mark.parametrize("dies", [True, False], ids=["dies", "is paused"])
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("step", STEPS)
async def test_nothing_is_registered_twice(
    settings: Settings, collection: Any, step: str, behind: bool, dies: bool
) -> None:
    """One replica halts, what it registered is deleted, another ends the task, the first goes on."""
    async with replicas(settings) as make:
        for number in (1, 2):
            collection.delete_many({})
            collection.database["endpoints.tasks"].delete_many({})
            first = make("first", lambda store: Halting(store, step, number, behind=behind))  # noqa: B023
            second = make("second")
            await add_task(second.store)
            halting = asyncio.create_task(first.work())
            halted = asyncio.create_task(first.store.halted.wait())
            await asyncio.wait({halting, halted}, return_when=asyncio.FIRST_COMPLETED)
            if not first.store.halted.is_set():
                halted.cancel()
                assert await halting, "this step is taken once"
                continue
            swept(collection)
            deleted = sorted(living(collection))
            for endpoint_id in deleted:
                await second.delete(endpoint_id)
            task = collection.database["endpoints.tasks"].find_one({"_id": "task"})
            if task["state"] == "open":
                assert await second.work()
            if dies:
                halting.cancel()
                await asyncio.gather(halting, return_exceptions=True)
            else:
                first.store.goes_on.set()
                await halting
            swept(collection)
            assert living(collection) == dict.fromkeys(set(IDS) - set(deleted), 1)
            task = collection.database["endpoints.tasks"].find_one({"_id": "task"})
            assert task["state"] == "done"
            # What was deleted before anybody noted that it is registered is not known to have been.
            assert {IDS[each["position"]] for each in task["failed"]} <= set(deleted)
