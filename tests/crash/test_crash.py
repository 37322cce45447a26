"""The process that writes is killed after each stage, under load; another replica of the register goes on.

Afterwards every acknowledged write is in MongoDB, every change has its event, first publications are in
order, and no get that was sent after an acknowledgement was answered with an older version.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

import kaa_epr
from kaa_epr.client import EpmmpClient
from kaa_epr.client.errors import ClientError
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.register.commit.collaborators import STAGES
from tests.flows.register_support import Heard, Listener, connected, register_settings, serving
from tests.support.waiting import until

ENDPOINTS = 4
WRITERS = 3
VICTIM = Path(__file__).with_name("victim.py")
LIMITS = {"claim_expiry": 2, "store_timeout": 1}


def settings_json(nats: str, mongo: str, instance: str, database: str) -> str:
    return json.dumps(
        {
            "service": {"instance_name": instance},
            "nats": {"servers": [nats]},
            "mongo": {"uri": mongo, "database": database},
            "management": {"enabled": False},
            "register": {
                "enabled": True,
                "security": {"enabled": False},
                "rest": {"port": 0},
                **LIMITS,
            },
        }
    )


@asynccontextmanager
async def victim(
    settings: str, stage: str, count: int
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    source = Path(kaa_epr.__file__).parents[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(VICTIM),
        settings,
        stage,
        str(count),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(source)},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            url = (await process.stdout.readline()).decode().strip()
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Load:
    """Writers that put keys of their own, remember what was acknowledged, and read it back over NATS."""

    def __init__(self, url: str, client: EpmmpClient) -> None:
        self._url = f"{url}/api/v1/endpoints"
        self._client = client
        self.acknowledged: dict[str, dict[str, int]] = defaultdict(dict)
        self.attempted: dict[str, set[str]] = defaultdict(set)
        self.read_back = 0

    async def run(self) -> None:
        """Until the process is gone."""
        async with httpx.AsyncClient(timeout=10) as http:
            writers = (self._write(http, f"e-{n % ENDPOINTS}", n) for n in range(ENDPOINTS * WRITERS))
            await asyncio.gather(*writers)

    async def _write(self, http: httpx.AsyncClient, endpoint: str, writer: int) -> None:
        for number in range(10_000):
            key = f"w{writer}-{number}"
            self.attempted[endpoint].add(key)
            try:
                answer = await http.put(f"{self._url}/{endpoint}/metadata/{key}", json=number)
            except httpx.HTTPError:
                return
            if answer.status_code != 200:
                assert answer.status_code == 503
                continue
            version = int(answer.headers["etag"].strip('"'))
            self.acknowledged[endpoint][key] = version
            await self._read_back(endpoint, key, version)

    async def _read_back(self, endpoint: str, key: str, version: int) -> None:
        try:
            got = await self._client.get(endpoint)
        except ClientError:
            # It went to the process that died; 19/EPMMP promises no answer.
            return
        assert got.etag is not None
        assert int(got.etag.strip('"')) >= version
        assert isinstance(got.metadata, dict)
        assert key in got.metadata
        self.read_back += 1


def first_publications(heard: list[Heard]) -> dict[str, list[Heard]]:
    """By endpoint, in the order of arrival, without repeats."""
    seen: set[tuple[str, int]] = set()
    firsts: dict[str, list[Heard]] = defaultdict(list)
    for event in heard:
        endpoint = event.fields["endpointId"]
        if (endpoint, event.version) not in seen:
            seen.add((endpoint, event.version))
            firsts[endpoint].append(event)
    return firsts


async def outboxes_empty(collection: Any) -> None:
    """Until another replica has published what was left; no signal tells of that but the documents."""
    await until(
        lambda: asyncio.to_thread(lambda: not collection.count_documents({"outbox": {"$exists": True}})),
        "no outbox is left",
        30,
        every=0.05,
    )


@pytest.mark.faults
@pytest.mark.parametrize("stage", STAGES)
async def test_killed_after(
    stage: str, nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str
) -> None:
    place = (nats_server.url, mongod.uri, instance_name, mongo_database)
    survivor = register_settings(*place, register=LIMITS)
    with MongoClient[dict[str, Any]](mongod.uri) as mongo:
        collection = mongo[mongo_database]["endpoints"]
        collection.insert_many(
            [
                {"_id": f"e-{n}", "application_version": "v", "version": 0, "metadata": []}
                for n in range(ENDPOINTS)
            ]
        )
        async with (
            connected(nats_server.url) as nc,
            serving(survivor),
            EpmmpClient(servers=nats_server.url, repository=instance_name, timeout=2, attempts=1) as client,
        ):
            listener = Listener(nc)
            await listener.listen(instance_name)
            async with victim(settings_json(*place), stage, 15) as (process, url):
                load = Load(url, client)
                async with asyncio.timeout(60):
                    await load.run()
                    assert await process.wait() == -signal.SIGKILL
            await outboxes_empty(collection)
            heard = await listener.settle()
        stored = {document["_id"]: document for document in collection.find()}
    assert load.read_back
    firsts = first_publications(heard)
    for endpoint, document in stored.items():
        check_endpoint(document, firsts[endpoint], load.acknowledged[endpoint], load.attempted[endpoint])


def check_endpoint(
    document: dict[str, Any], events: list[Heard], acknowledged: dict[str, int], attempted: set[str]
) -> None:
    metadata = {item["key"]: item["value"] for item in document["metadata"]}
    assert acknowledged.keys() <= metadata.keys() <= attempted
    assert [event.version for event in events] == list(range(1, document["version"] + 1))
    mirror: dict[str, Any] = {}
    for event in events:
        assert not event.fields["removed"]
        assert not event.fields["updated"]
        for key, value in event.fields["added"].items():
            mirror[key] = json.loads(value)
            assert acknowledged.get(key, event.version) == event.version
    assert mirror == metadata
