"""Writers and readers of one endpoint, through two replicas, over REST and NATS: the history makes sense.

Every conditional write that succeeded names the version it was made on, so the acknowledged writes have one
order by construction if versions are unique; each must have been made on exactly the state before it. Reads
must return a state that was current at some moment between their beginning and their end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from kaa_epr.client import EpmmpClient
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.service import Service
from tests.flows.register_support import Listener, connected, register_settings, serving
from tests.support.http_client import plain_client

WRITES = 40
"""That each writer must succeed with."""


@dataclass
class Write:
    """An acknowledged write: it read ``based_on`` and made ``version``."""

    based_on: int
    seen: int
    version: int
    value: int
    begun: float
    ended: float


@dataclass
class Read:
    version: int
    value: int
    begun: float
    ended: float


@dataclass
class History:
    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    refused: int = 0


@pytest.fixture(params=["motor", "pymongo"])
async def replicas(
    request: pytest.FixtureRequest,
    nats_server: NatsServer,
    mongod: MongoServer,
    mongo_database: str,
    instance_name: str,
) -> AsyncIterator[tuple[Service, Service]]:
    settings = register_settings(
        nats_server.url, mongod.uri, instance_name, mongo_database, mongo={"driver": request.param}
    )
    async with serving(settings) as first, serving(settings) as second:
        yield first, second


def number(etag: str | None) -> int:
    assert etag is not None
    return int(etag.strip('"'))


async def write(http: httpx.AsyncClient, history: History, done: asyncio.Event) -> None:
    """Counts up under If-Match: read, add one, write; again when somebody else was first."""
    loop = asyncio.get_running_loop()
    succeeded = 0
    while succeeded < WRITES:
        begun = loop.time()
        current = await http.get("/endpoints/hot/metadata")
        tag, seen = current.headers["etag"], current.json()["n"]
        history.reads.append(Read(number(tag), seen, begun, loop.time()))
        begun = loop.time()
        answer = await http.put("/endpoints/hot/metadata/n", json=seen + 1, headers={"If-Match": tag})
        if answer.status_code == 412:
            history.refused += 1
            continue
        assert answer.status_code == 200, answer.text
        succeeded += 1
        version = number(answer.headers["etag"])
        history.writes.append(Write(number(tag), seen, version, answer.json(), begun, loop.time()))
    done.set()


async def read(client: EpmmpClient, history: History, done: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    while not done.is_set():
        begun = loop.time()
        got = await client.get("hot")
        assert isinstance(got.metadata, dict)
        history.reads.append(Read(number(got.etag), got.metadata["n"], begun, loop.time()))


async def test_conditional_writers_and_readers(
    replicas: tuple[Service, Service],
    nats_server: NatsServer,
    mongod: MongoServer,
    mongo_database: str,
    instance_name: str,
) -> None:
    history = History()
    urls = [f"{replica.register.url}/api/v1" for replica in replicas if replica.register is not None]
    async with (
        connected(nats_server.url) as nc,
        plain_client(urls[0], 30) as one,
        plain_client(urls[1], 30) as two,
        EpmmpClient(servers=nats_server.url, repository=instance_name, timeout=20) as client,
    ):
        listener = Listener(nc)
        await listener.listen(instance_name)
        body = {"endpointId": "hot", "appVersion": {"name": "a-v1"}, "metadata": {"n": 0}}
        assert (await one.post("/endpoints", json=body)).status_code == 201
        done = [asyncio.Event() for _ in range(4)]
        writers = [
            write(http, history, event) for http, event in zip((one, two, one, two), done, strict=True)
        ]
        async with asyncio.timeout(110):
            await asyncio.gather(*writers, *(read(client, history, done[0]) for _ in range(2)))
        heard = await listener.settle()
    total = 4 * WRITES
    with MongoClient[dict[str, Any]](mongod.uri) as mongo:
        stored = mongo[mongo_database]["endpoints"].find_one({"_id": "hot"})
    assert stored is not None
    assert stored["metadata"] == [{"key": "n", "value": total}]
    assert stored["version"] == total + 1
    check_writes(history)
    check_reads(history)
    firsts = list(dict.fromkeys(event.version for event in heard))
    assert firsts == list(range(1, total + 2))
    assert history.refused > 0


def check_writes(history: History) -> None:
    """One order: version after version, each on the one before; and it agrees with real time."""
    ordered = sorted(history.writes, key=lambda write: write.version)
    assert [write.version for write in ordered] == list(range(2, len(ordered) + 2))
    for write in ordered:
        assert write.based_on == write.version - 1
        assert write.value == write.seen + 1 == write.version - 1
    latest_begin = 0.0
    for write in ordered:
        latest_begin = max(latest_begin, write.begun)
        assert write.ended >= latest_begin


def check_reads(history: History) -> None:
    """No read is older than what was acknowledged before it began, or newer than what was begun by then."""
    for read in history.reads:
        assert read.value == read.version - 1
        acknowledged = [write.version for write in history.writes if write.ended <= read.begun]
        assert read.version >= max(acknowledged, default=1)
        possible = [write.version for write in history.writes if write.begun <= read.ended]
        assert read.version <= max(possible, default=1)


async def test_blind_writers_through_two_replicas_lose_nothing(
    replicas: tuple[Service, Service], nats_server: NatsServer, instance_name: str
) -> None:
    urls = [f"{replica.register.url}/api/v1" for replica in replicas if replica.register is not None]
    async with (
        connected(nats_server.url) as nc,
        plain_client(urls[0], 30) as one,
        plain_client(urls[1], 30) as two,
    ):
        listener = Listener(nc)
        await listener.listen(instance_name)
        await one.post("/endpoints", json={"endpointId": "hot", "appVersion": {"name": "a-v1"}})

        async def put(http: httpx.AsyncClient, key: int) -> int:
            answer = await http.put(f"/endpoints/hot/metadata/k{key}", json=key)
            return answer.status_code

        statuses = await asyncio.gather(*(put((one, two)[n % 2], n) for n in range(100)))
        heard = await listener.settle()
        kept = (await two.get("/endpoints/hot/metadata")).json()
    assert set(statuses) == {200}
    assert kept == {f"k{n}": n for n in range(100)}
    assert list(dict.fromkeys(event.version for event in heard)) == list(range(1, 102))
