"""``--workers``: several processes of one queue group under one parent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client as NatsClient

from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.nats.services_api import service_name
from tests.nats.harness import Store, ask, connected, merged, settings_of
from tests.nats.process import Process, flooding, running
from tests.nats.procfs import alive, children
from tests.support.command import START_TIMEOUT
from tests.support.http_client import plain_client
from tests.support.waiting import until


@pytest.fixture
def store(mongod: MongoServer, mongo_database: str) -> Iterator[Store]:
    made = Store(mongod.uri, mongo_database)
    for number in range(10):
        made.put(f"e-{number}", model="m1")
    yield made
    made.close()


@pytest.fixture
def settings(nats_server: NatsServer, store: Store, instance_name: str) -> dict[str, Any]:
    return settings_of(nats_server.url, store.uri, store.database, instance_name, workers=2)


def workers_of(parent: Process) -> set[int]:
    """The worker processes, without multiprocessing's own helper."""
    return children(parent.pid, "spawn_main")


async def served(peer: NatsClient, instance: str) -> list[int]:
    """How many requests each replica that answers has counted."""
    inbox = peer.new_inbox()
    replies = await peer.subscribe(inbox)
    await peer.publish(f"$SRV.STATS.{service_name(instance)}", reply=inbox)
    said = [json.loads((await replies.next_msg(timeout=10)).data) for _ in range(2)]
    await replies.unsubscribe()
    return [one["endpoints"][0]["num_requests"] for one in said]


async def test_each_get_is_answered_once(
    settings: dict[str, Any], nats_server: NatsServer, instance_name: str, tmp_path: Path
) -> None:
    async with running(tmp_path, settings) as parent, connected(nats_server.url) as peer:
        await until(parent.ready_file.exists, "it is ready", START_TIMEOUT)
        assert parent.ready["pid"] == parent.pid
        assert len(workers_of(parent)) == 2
        answers = await asyncio.gather(*(ask(peer, instance_name, f"e-{n % 10}") for n in range(400)))
        assert {one["statusCode"] for one in answers} == {200}
        counts = await served(peer, instance_name)
        assert sum(counts) == 400
        assert min(counts) > 0, "both take their share"
        parent.config_file.write_text("nats: {colour: red}\n")
        parent.signal(signal.SIGHUP)
        await parent.logged("reload refused")
        assert sum(await served(peer, instance_name)) == 400, "all goes on"
        assert await parent.stop() == 0


async def test_one_that_is_killed_is_started_again(
    settings: dict[str, Any], nats_server: NatsServer, instance_name: str, tmp_path: Path
) -> None:
    """And afterwards neither a reload nor the stop loses a get."""
    async with running(tmp_path, settings) as parent:
        await until(parent.ready_file.exists, "it is ready", START_TIMEOUT)
        first, second = workers_of(parent)
        os.kill(first, signal.SIGKILL)
        await parent.logged("worker ended by itself")
        await parent.logged("serving", 3)
        pids = workers_of(parent)
        assert second in pids
        assert first not in pids
        assert len(pids) == 2
        async with flooding(nats_server.url, instance_name, lambda number: f"e-{number % 10}") as flood:
            await flood.more(1000)
            parent.signal(signal.SIGHUP)
            await parent.logged("reloaded", 2)
            await flood.more(1000)
            assert flood.refused == 0
            assert await parent.stop() == 0
            await flood.finish()
        assert flood.sent == flood.answered + flood.refused


async def test_workers_end_with_their_parent(settings: dict[str, Any], tmp_path: Path) -> None:
    async with running(tmp_path, settings) as parent:
        await until(parent.ready_file.exists, "it is ready", START_TIMEOUT)
        workers = workers_of(parent)
        assert len(workers) == 2
        parent.signal(signal.SIGKILL)
        await until(lambda: not any(map(alive, workers)), "they drain and end")


async def test_what_keeps_a_worker_from_starting_ends_all(
    settings: dict[str, Any], nats_server: NatsServer, tmp_path: Path
) -> None:
    """The management port of the second worker is the nats-server's."""
    settings["management"] = {"enabled": True, "port": nats_server.port - 1}
    async with running(tmp_path, settings, ready=False) as parent:
        await parent.logged("worker did not start")
        assert await parent.end() == 1
        assert not parent.ready_file.exists()


async def health(parent: Process, worker: int = 0) -> dict[str, Any]:
    """What worker 0's management server says, or that of another."""
    url = parent.ready["management"].rpartition(":")
    async with plain_client(f"{url[0]}:{int(url[2]) + worker}") as client:
        answer: dict[str, Any] = (await client.get("/health/ready")).json()
    return answer


async def metric(parent: Process, name: str) -> float:
    async with plain_client(parent.ready["management"]) as client:
        lines = (await client.get("/metrics")).text.splitlines()
    (line,) = (line for line in lines if line.startswith(name))
    return float(line.rpartition(" ")[2])


@pytest.fixture
def managed(settings: dict[str, Any]) -> dict[str, Any]:
    """With a management server each."""
    return merged(settings, {"management": {"enabled": True, "port": two_free_ports()}})


def two_free_ports() -> int:
    """The lower one of two neighbours that nobody listens on now."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
                return port


async def test_one_that_is_silent_is_killed_and_started_again(
    managed: dict[str, Any], nats_server: NatsServer, instance_name: str, tmp_path: Path
) -> None:
    given = merged(managed, {"service": {"worker_silence": 2.0}})
    async with running(tmp_path, given) as parent, connected(nats_server.url) as peer:
        await until(parent.ready_file.exists, "it is ready", START_TIMEOUT)
        await parent.logged("serving", 2)
        by_number = await numbered(parent)
        os.kill(by_number[1], signal.SIGSTOP)
        line = await parent.logged("worker is silent")
        assert line["worker"] == 1
        await parent.logged("worker ended by itself")
        await parent.logged("serving", 3)
        pids = workers_of(parent)
        assert by_number[0] in pids
        assert by_number[1] not in pids
        assert len(pids) == 2

        async def well() -> bool:
            return "reason" not in (await health(parent))["components"]["workers"]

        await until(well, "the other says so too")
        assert await metric(parent, "kaa_epr_worker_restarts_total") == 1
        assert await metric(parent, 'kaa_epr_workers{state="serving"') == 2
        answers = await asyncio.gather(*(ask(peer, instance_name, f"e-{n % 10}") for n in range(50)))
        assert {one["statusCode"] for one in answers} == {200}
        assert await parent.stop() == 0


async def numbered(parent: Process) -> dict[int, int]:
    """Worker number to process ID, as the workers themselves log them."""
    return {line["worker"]: line["pid"] for line in parent.log if line.get("event") == "serving"}


async def test_one_that_cannot_be_started_again_is_missed_by_the_others(
    managed: dict[str, Any], tmp_path: Path
) -> None:
    """Somebody takes the port of its management server while it is down."""
    async with running(tmp_path, managed) as parent:
        await until(parent.ready_file.exists, "it is ready", START_TIMEOUT)
        await parent.logged("serving", 2)
        by_number = await numbered(parent)
        os.kill(by_number[1], signal.SIGKILL)
        port = managed["management"]["port"] + 1
        taken: list[socket.socket] = []

        def take() -> bool:
            with contextlib.suppress(OSError):
                taken.append(socket.create_server(("127.0.0.1", port)))
            return bool(taken)

        await until(take, "its port is free for a moment")
        await parent.logged("worker cannot run", 2)

        async def reason() -> str:
            return str((await health(parent))["components"]["workers"].get("reason"))

        assert await reason() == "not serving: worker 1 of 2"
        assert (await health(parent))["status"] == "DEGRADED"
        assert await metric(parent, 'kaa_epr_workers{state="serving"') == 1
        assert await metric(parent, "kaa_epr_worker_restarts_total") >= 2
        taken[0].close()
        await parent.logged("serving", 3)

        async def well() -> bool:
            return await reason() == "None"

        await until(well, "all are there again")
        assert await parent.stop() == 0
