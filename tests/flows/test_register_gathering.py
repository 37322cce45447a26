"""Which commands share a batch, and which outboxes a clearing: counted where the driver sends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from bson import Int64
from pymongo import MongoClient

from kaa_epr import slices
from kaa_epr.config.settings import Settings
from kaa_epr.embedded import MongoServer
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.register.commit import contention, pipeline
from kaa_epr.register.commit.collaborators import PipelineLimits
from kaa_epr.register.commit.pipeline import ENOUGH, SOME
from kaa_epr.register.decide.api import Outcome, Request
from kaa_epr.register.outbox import clearing
from kaa_epr.register.register import Register
from kaa_epr.service import Service
from tests.flows.register_support import serving
from tests.support.planning import items
from tests.support.stages import Stages
from tests.support.store_commands import COMMANDS
from tests.support.waiting import until

NEVER = 3600.0


@pytest.fixture
def admin(mongod: MongoServer) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        yield client


@pytest.fixture
def stages() -> Stages:
    return Stages()


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's, of a machine that nobody else wants; tests write into it what they want to be true."""
    path = tmp_path / "schedstat"
    path.write_text("0 0 0")
    monkeypatch.setattr(contention, "ACCOUNT", path)
    return path


def waits(account: Path, nanoseconds: int) -> None:
    """So long this thread waited for a processor, while it ran for a millisecond."""
    account.write_text(f"1000000 {nanoseconds} 1")


@pytest.fixture
async def service(
    admin: MongoClient[dict[str, Any]],
    mongo_database: str,
    settings_here: Callable[..., Settings],
    stages: Stages,
    account: Path,
) -> AsyncIterator[Service]:
    admin[mongo_database].endpoints.insert_many(
        [
            {"_id": f"e{n}", "application": "a", "application_version": "a-v1", "version": Int64(1)}
            for n in range(ENOUGH + 2)
        ]
    )
    async with serving(settings_here(), stages) as service:
        COMMANDS.watch(mongo_database)
        yield service


@pytest.fixture
def register(service: Service) -> Register:
    assert service.register is not None
    return service.register


@pytest.fixture
def cleared_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No outbox is cleared for the time alone."""
    monkeypatch.setattr(clearing, "GATHER", NEVER)


def put(register: Register, endpoint_id: str, value: int | str = 1) -> asyncio.Future[Outcome]:
    command = register.endpoints.planner.put_keys(items({"k": value}))
    return register.pipeline.enqueue(endpoint_id, Request(command, "c"))


def confirming_waits(store: RegisterStore, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """What changes nothing is confirmed by the store only once the event is set."""
    go_on, read = asyncio.Event(), store.read

    async def later(ids: Sequence[str], time_limit: float) -> list[bytes]:
        await go_on.wait()
        return await read(ids, time_limit)

    monkeypatch.setattr(store, "read", later)
    return go_on


@contextmanager
def writes_wait(admin: MongoClient[dict[str, Any]]) -> Iterator[None]:
    """The server answers reads, and no writes until the end."""
    admin.admin.command("fsync", lock=True)
    try:
        yield
    finally:
        admin.admin.command("fsyncUnlock")


@asynccontextmanager
async def batch_under_way(
    register: Register, admin: MongoClient[dict[str, Any]]
) -> AsyncIterator[asyncio.Future[Outcome]]:
    """A change of ``e0`` whose batch waits for the server until the end."""
    with writes_wait(admin):
        first = put(register, "e0")
        await until(lambda: COMMANDS.seen["update"] == 1)
        yield first


def outboxes(admin: MongoClient[dict[str, Any]], database: str) -> list[str]:
    return [document["_id"] for document in admin[database].endpoints.find({"outbox": {"$exists": True}})]


@pytest.mark.usefixtures("cleared_when_asked")
async def test_outboxes_of_several_batches_are_cleared_together(
    register: Register, admin: MongoClient[dict[str, Any]], mongo_database: str
) -> None:
    for n in range(5):
        assert (await put(register, f"e{n}")).changed
    assert sorted(outboxes(admin, mongo_database)) == [f"e{n}" for n in range(5)]
    assert COMMANDS.seen == {"find": 5, "update": 5}
    # An endpoint that is wanted again is not changed before it is cleared, and the others go with it.
    assert (await put(register, "e0", 2)).version == 3
    assert outboxes(admin, mongo_database) == ["e0"]
    assert COMMANDS.seen == {"find": 6, "update": 7}


@pytest.mark.usefixtures("cleared_when_asked")
async def test_outboxes_are_cleared_when_the_service_ends(
    service: Service, register: Register, admin: MongoClient[dict[str, Any]], mongo_database: str
) -> None:
    await asyncio.gather(put(register, "e0"), put(register, "e1"))
    assert sorted(outboxes(admin, mongo_database)) == ["e0", "e1"]
    await service.drain()
    assert outboxes(admin, mongo_database) == []


async def test_commands_gather_while_a_batch_is_under_way(
    register: Register, admin: MongoClient[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "GATHER", NEVER)
    async with batch_under_way(register, admin) as first:
        others = [put(register, f"e{n}") for n in range(1, ENOUGH)]
    await asyncio.gather(first, *others)
    assert COMMANDS.seen["find"] == 2


async def test_what_is_large_does_not_share_a_batch_with_everybody(register: Register) -> None:
    large = "x" * (PipelineLimits().batch_bytes * 5 // 8)
    outcomes = await asyncio.gather(*(put(register, f"e{n}", large) for n in range(4)))
    assert all(outcome.changed for outcome in outcomes)
    assert COMMANDS.seen["find"] == 2


async def test_who_waited_for_a_batch_waits_as_long_again_for_company_and_nobody_else_does(
    register: Register, admin: MongoClient[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "GATHER", NEVER)
    async with batch_under_way(register, admin) as first:
        waited = put(register, "e1")
    assert (await first).changed
    company = put(register, "e2")
    assert COMMANDS.seen["find"] == 1
    await asyncio.gather(waited, company)
    assert COMMANDS.seen["find"] == 2
    # With nobody waiting, one after the other leaves at once.
    for n in range(3, 6):
        await put(register, f"e{n}")
    assert COMMANDS.seen["find"] == 5


@pytest.mark.parametrize(("waited", "batches"), [(0, 3), (1_000_000, 2)])
async def test_who_waited_on_a_crowded_machine_waits_for_more_company(
    waited: int,
    batches: int,
    register: Register,
    admin: MongoClient[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    account: Path,
) -> None:
    monkeypatch.setattr(pipeline, "GATHER", NEVER)
    async with batch_under_way(register, admin) as first:
        some = [put(register, f"e{n}") for n in range(1, SOME + 1)]
        waits(account, waited)
    await first
    enough = [put(register, f"e{n}") for n in range(SOME + 1, ENOUGH + 1)]
    await asyncio.gather(*some, *enough)
    assert COMMANDS.seen["find"] == batches


@pytest.mark.parametrize(("count", "gather"), [(ENOUGH, NEVER), (2, pipeline.GATHER)])
async def test_enough_of_them_or_old_ones_do_not_wait_for_it(
    count: int,
    gather: float,
    register: Register,
    admin: MongoClient[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "GATHER", gather)
    async with batch_under_way(register, admin) as first:
        others = [put(register, f"e{n}") for n in range(1, count + 1)]
        await until(lambda: COMMANDS.seen["update"] == 2)
        assert COMMANDS.seen["find"] == 2
    await asyncio.gather(first, *others)
    assert COMMANDS.statements["update"] >= count + 1


async def test_an_endpoint_cleared_before_its_batch_ends_is_in_one_batch_at_a_time(
    service: Service, register: Register, admin: MongoClient[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(register, "e0")
    await until(lambda: "e0" not in register.pipeline.busy)
    go_on = confirming_waits(service.store, monkeypatch)
    unchanged, changed = put(register, "e0"), put(register, "e1")
    assert (await changed).changed
    await until(lambda: "e1" not in register.pipeline.busy)
    COMMANDS.seen.clear()
    with writes_wait(admin):
        second = put(register, "e1", 2)
        await until(lambda: COMMANDS.seen["update"] == 1)
        go_on.set()
        assert not (await unchanged).changed
        third = put(register, "e1", 3)
        assert "e1" in register.pipeline.busy
    assert [(await each).version for each in (second, third)] == [3, 4]
    assert register.stats.races == 0


@pytest.mark.parametrize(("seconds", "turns"), [(0.0, ENOUGH), (NEVER, 0)])
async def test_a_batch_lets_others_have_the_loop(
    register: Register, stages: Stages, monkeypatch: pytest.MonkeyPatch, seconds: float, turns: int
) -> None:
    """Counted while a batch of ``ENOUGH`` endpoints is planned, that is between two awaits of the store."""
    monkeypatch.setattr(slices, "SECONDS", seconds)
    # Each call of the planner plans one endpoint.
    monkeypatch.setattr(type(register.endpoints.planner), "slice_work", 1)
    count = 0
    at: dict[str, int] = {}
    stages.at("read", lambda: at.update(read=count))
    stages.at("planned", lambda: at.update(planned=count))
    answered = asyncio.gather(*(put(register, f"e{n}") for n in range(ENOUGH)))

    def others() -> None:
        nonlocal count
        count += 1
        if not answered.done():
            asyncio.get_running_loop().call_soon(others)

    others()
    await answered
    assert at["planned"] - at["read"] == turns
