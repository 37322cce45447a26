"""Writes while SIGHUP replaces the session: each is answered, and each event told once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client as NatsClient

from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.nats.bridge import Bridge
from kaa_epr.service import Service
from tests.flows.register_support import EpmmpCaller, Listener, register_settings, rest_client, serving
from tests.nats.harness import Store

WRITERS = 8
ENDPOINTS = [f"e-{number}" for number in range(WRITERS)]


@pytest.fixture
async def service(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str
) -> AsyncIterator[Service]:
    store = Store(mongod.uri, mongo_database)
    for endpoint_id in ENDPOINTS:
        store.put(endpoint_id, n=0)
    store.close()
    async with serving(
        register_settings(nats_server.url, mongod.uri, instance_name, mongo_database)
    ) as running:
        yield running


async def test_a_reload_under_load_answers_every_write_and_tells_of_it_once(
    service: Service, nc: NatsClient, instance_name: str
) -> None:
    caller, listener = EpmmpCaller(nc, instance_name), Listener(nc)
    await listener.listen(instance_name)
    done = asyncio.Event()

    async def write(endpoint_id: str) -> int:
        written = 0
        while not done.is_set():
            written += 1
            answer = await caller.call(
                "key-update", endpointId=endpoint_id, metadataKey="n", metadataValue=b"%d" % written
            )
            assert answer["statusCode"] == 200, answer
        return written

    async def put(endpoint_id: str) -> int:
        assert service.register is not None
        assert service.register.url is not None
        written = 0
        async with rest_client(service, 5) as http:
            while not done.is_set():
                written += 1
                answer = await http.put(f"/endpoints/{endpoint_id}/metadata/n", json=written)
                assert answer.status_code == 200, answer.text
        return written

    writers = [asyncio.create_task(write(each)) for each in ENDPOINTS[1:]]
    writers.append(asyncio.create_task(put(ENDPOINTS[0])))
    for reloads in range(1, 4):
        await listener.wait_for(reloads * 4 * WRITERS)
        await service.reload(service.settings)
    await listener.wait_for(len(listener.heard) + WRITERS)
    done.set()
    written = await asyncio.gather(*writers)
    heard = await listener.settle()
    versions: dict[str, list[int]] = {}
    for event in heard:
        versions.setdefault(event.fields["endpointId"], []).append(event.version)
    for endpoint_id, count in zip([*ENDPOINTS[1:], ENDPOINTS[0]], written, strict=True):
        assert versions[endpoint_id] == list(range(2, count + 2))


async def test_the_server_knows_the_bridge_before_the_session_leaves(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.register is not None
    original, unsent = service.register.bridge, []

    async def bridge(made: Bridge) -> None:
        await original(made)
        unsent.append(made.client.pending_data_size)

    monkeypatch.setattr(service.register, "bridge", bridge)
    await service.reload(service.settings)
    assert unsent == [0]


async def test_a_reload_does_not_wait_for_ever_for_a_write(
    service: Service, nc: NatsClient, instance_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.register is not None
    release = asyncio.Event()
    original: Any = service.store.current
    begun = asyncio.Event()

    async def stuck(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        await release.wait()
        return await original(*args, **kwargs)

    monkeypatch.setattr(service.store, "current", stuck)
    monkeypatch.setattr("kaa_epr.nats.link.FLUSH_TIMEOUT", 0.5)
    caller = EpmmpCaller(nc, instance_name)
    writing = asyncio.create_task(
        caller.call("key-update", endpointId="e-1", metadataKey="n", metadataValue=b"1")
    )
    await asyncio.wait_for(begun.wait(), 20)
    await asyncio.wait_for(service.reload(service.settings), 20)
    release.set()
    # On the new connection, since the old one could not wait any longer.
    assert (await asyncio.wait_for(writing, 20))["statusCode"] == 200
