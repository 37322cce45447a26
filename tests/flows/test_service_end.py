"""The end within its time: what is still under way is answered, and told truly; every step comes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from nats.aio.client import Client as NatsClient
from nats.errors import NoRespondersError

from kaa_epr.config.settings import Settings
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.refusals import Stored
from kaa_epr.service import Service
from tests.flows.register_support import EpmmpCaller, register_settings, rest_client, serving
from tests.nats.harness import Store, ask, connected
from tests.nats.process import running
from tests.support.proxy import Proxy
from tests.support.waiting import DEADLINE, until

DRAIN: Final = 2.0
BUSY: Final = 4.0
"""Seconds more that a busy machine may take."""


@pytest.fixture(scope="module")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """One that can be told to hold commands back."""
    options = ("--setParameter", "enableTestCommands=1", "--journalCommitInterval", "10")
    with MongoServer(tmp_path_factory.mktemp("mongo"), options=options) as server:
        yield server


@pytest.fixture
def store(mongo_server: MongoServer, instance_name: str) -> Iterator[Store]:
    made = Store(mongo_server.uri, f"db_{instance_name}")
    for number in range(4):
        made.put(f"e-{number}", n=0)
    yield made
    made._client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
    made._client.drop_database(made.database)
    made.close()


@pytest.fixture
def settings(nats_server: NatsServer, store: Store, instance_name: str) -> Settings:
    """Nothing of it gives up by itself within the drain."""
    return register_settings(
        nats_server.url,
        store.uri,
        instance_name,
        store.database,
        service={"instance_name": instance_name, "drain_timeout": DRAIN},
        store={"timeout": 10},
        register={"store_timeout": 10, "claim_expiry": 20},
        invalidation={"scrub_per_second": 0},
    )


def hold(store: Store, *commands: str, seconds: float = 8.0) -> None:
    """The server answers these commands of the service later than the drain lasts."""
    data = {
        "failCommands": list(commands),
        "blockConnection": True,
        "blockTimeMS": round(seconds * 1000),
        "appName": "kaa-epr",
    }
    store._client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[Service]:
    async with serving(settings) as running_one:
        yield running_one


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with rest_client(service) as client:
        yield client


def within(settings: Settings, seconds: float) -> Settings:
    """With so much time for the end."""
    return settings.model_copy(
        update={"service": settings.service.model_copy(update={"drain_timeout": seconds})}
    )


async def drained(service: Service) -> tuple[bool, float]:
    begun = time.monotonic()
    clean = await asyncio.wait_for(service.drain(), 2 * DEADLINE)
    return clean, time.monotonic() - begun


async def pending(service: Service, writes: int, gets: int) -> None:
    assert service.register is not None
    stats = service.register.stats
    await until(lambda: stats.pending >= writes and service.engine.pending() >= gets, "all are under way")


async def test_what_waits_for_the_store_is_answered_before_the_time_is_up(
    service: Service, http: httpx.AsyncClient, store: Store, nc: NatsClient, instance_name: str
) -> None:
    caller = EpmmpCaller(nc, instance_name)
    hold(store, "find")
    put = asyncio.create_task(http.put("/endpoints/e-1/metadata/n", json=1))
    update = asyncio.create_task(
        caller.call("key-update", endpointId="e-2", metadataKey="n", metadataValue=b"1")
    )
    get = asyncio.create_task(ask(nc, instance_name, "e-3"))
    await pending(service, writes=2, gets=1)
    clean, seconds = await drained(service)
    assert not clean
    assert seconds < DRAIN + BUSY
    assert (await put).status_code == 503
    assert (await put).json()["message"].startswith("The service is shutting down")
    assert (await update)["statusCode"] == 503
    assert (await get)["statusCode"] == 503
    stored = store.collection.find_one({"_id": "e-1"})
    assert stored is not None
    assert stored["version"] == 1, "it was told that it is not stored"


async def test_a_write_that_the_store_has_is_told_as_perhaps_stored(
    service: Service, http: httpx.AsyncClient, store: Store
) -> None:
    hold(store, "update")
    put = asyncio.create_task(http.put("/endpoints/e-1/metadata/n", json=1))
    await pending(service, writes=1, gets=0)
    assert service.register is not None
    pipeline = service.register.pipeline
    await until(lambda: any(made.stored is Stored.UNKNOWN for made in pipeline._tasks.values()))
    clean, _ = await drained(service)
    assert not clean
    answer = await put
    assert answer.status_code == 503
    assert answer.json()["message"].startswith("Perhaps the change is stored")


async def test_nothing_is_given_up_where_there_is_time(
    settings: Settings, store: Store, nc: NatsClient, instance_name: str
) -> None:
    async with serving(within(settings, 2 * DEADLINE)) as service, rest_client(service) as http:
        hold(store, "find", seconds=0.5)
        put = asyncio.create_task(http.put("/endpoints/e-1/metadata/n", json=1))
        get = asyncio.create_task(ask(nc, instance_name, "e-3"))
        await pending(service, writes=1, gets=1)
        clean, seconds = await drained(service)
        assert clean
        assert seconds < DEADLINE, "it does not wait for the time to be up"
        assert (await put).status_code == 200
        assert (await get)["statusCode"] == 200


async def test_a_step_that_raises_does_not_keep_the_others(
    service: Service, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.register is not None
    ends: list[str] = []

    async def fail(*_args: Any) -> None:
        ends.append("failed")
        raise RuntimeError("a bug")

    monkeypatch.setattr(service.register.sweeper, "stop", fail)
    monkeypatch.setattr(service.register._server, "stop", fail)
    monkeypatch.setattr(service.witness, "stop", fail)
    assert service.supervisor.problem() is None
    clean, seconds = await drained(service)
    assert (clean, ends) == (False, ["failed"] * 3)
    assert seconds < DRAIN + BUSY
    assert not service.link.status().connected
    assert not service.register.outlet.up


async def test_no_time_at_all_is_an_end_too(settings: Settings, store: Store) -> None:
    service = Service(within(settings, 0.0))
    await service.start()
    await service.wait_ready()
    async with rest_client(service) as http:
        hold(store, "find")
        put = asyncio.create_task(http.put("/endpoints/e-1/metadata/n", json=1))
        await pending(service, writes=1, gets=0)
        clean, seconds = await drained(service)
        assert not clean
        assert seconds < BUSY
        assert (await put).status_code == 503


async def test_what_was_never_started_ends(settings: Settings) -> None:
    clean, seconds = await drained(Service(settings))
    assert clean
    assert seconds < BUSY


async def answered(peer: NatsClient, instance_name: str) -> bool:
    try:
        return bool((await ask(peer, instance_name, "e-1"))["statusCode"] == 200)
    except NoRespondersError:
        return False


# --- processes
def as_file(settings: Settings, **groups: Any) -> dict[str, Any]:
    given = settings.model_dump(mode="json", by_alias=True, exclude_unset=True)
    given["mongo"]["uri"] = settings.mongo.uri.get_secret_value()
    return {**given, **groups}


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_indexes_that_are_being_built_keep_neither_gets_nor_a_stop(
    driver: str, settings: Settings, store: Store, nats_server: NatsServer, instance_name: str, tmp_path: Path
) -> None:
    given = as_file(settings)
    given["mongo"]["driver"] = driver
    hang = {"configureFailPoint": "hangAfterStartingIndexBuild"}
    store._client.admin.command({**hang, "mode": "alwaysOn"})
    try:
        async with (
            running(tmp_path, given, ready=False) as process,
            connected(nats_server.url) as peer,
        ):
            await process.logged("building indexes")
            await until(lambda: answered(peer, instance_name), "gets are answered")
            assert not [line for line in process.log if line["event"] == "serving"], "that takes its time"
            await process.logged("serving")
            caller = EpmmpCaller(peer, instance_name)
            answer = await caller.call("key-update", endpointId="e-1", metadataKey="n", metadataValue=b"1")
            assert answer["statusCode"] == 503
            assert "indexes are being built" in answer["reasonPhrase"]
            begun = time.monotonic()
            assert await process.stop() == 0
            assert time.monotonic() - begun < DRAIN + BUSY
    finally:
        store._client.admin.command({**hang, "mode": "off"})
    async with running(tmp_path, given), connected(nats_server.url) as peer:
        caller = EpmmpCaller(peer, instance_name)
        answer = await caller.call("key-update", endpointId="e-1", metadataKey="n", metadataValue=b"1")
        assert answer["statusCode"] == 200


async def test_a_stop_is_heard_while_nothing_answers(
    settings: Settings, store: Store, mongo_server: MongoServer, nats_server: NatsServer, tmp_path: Path
) -> None:
    """Half-open links to both servers, from the start."""
    async with Proxy(mongo_server.port) as mongo, Proxy(nats_server.port) as nats:
        mongo.stop_forwarding()
        nats.stop_forwarding()
        given = as_file(settings, nats={"servers": [nats.url]})
        given["mongo"]["uri"] = f"mongodb://127.0.0.1:{mongo.listens_on}/?directConnection=true"
        given["store"]["timeout"] = 1.0
        async with running(tmp_path, given, ready=False) as process:
            await until(lambda: mongo.accepted and nats.accepted, "it connects")
            process.signal(signal.SIGTERM)
            begun = time.monotonic()
            assert await process.end() == 0
            assert time.monotonic() - begun < DRAIN + 2 * BUSY


async def test_the_exit_status_says_that_something_was_given_up(
    settings: Settings, store: Store, nats_server: NatsServer, instance_name: str, tmp_path: Path
) -> None:
    async with running(tmp_path, as_file(settings)) as process, connected(nats_server.url) as peer:
        hold(store, "find")
        get = asyncio.create_task(ask(peer, instance_name, "e-3"))
        await asyncio.sleep(0)
        await peer.flush()
        assert await process.stop() == 1
        assert (await get)["statusCode"] == 503
