"""Bytes of requests under way are bounded, over NATS and REST together; what is beyond is refused at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client as NatsClient

from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.service import Service
from tests.flows.register_support import EpmmpCaller, register_settings, serving
from tests.nats.harness import Store
from tests.support.http_client import plain_client
from tests.support.waiting import until

BUDGET = 64 * 1024
LARGE = b'"' + b"x" * 40_000 + b'"'


@pytest.fixture
async def service(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str
) -> AsyncIterator[Service]:
    store = Store(mongod.uri, mongo_database)
    store.put("e-1")
    store.close()
    register = {
        "max_pending_bytes": BUDGET,
        "rest": {"max_body_bytes": BUDGET, "max_batch_bytes": BUDGET},
    }
    settings = register_settings(
        nats_server.url, mongod.uri, instance_name, mongo_database, register=register
    )
    async with serving(settings) as running:
        yield running


async def test_what_is_beyond_the_budget_is_refused_and_nothing_is_kept(
    service: Service, nc: NatsClient, instance_name: str
) -> None:
    assert service.register is not None
    register, caller = service.register, EpmmpCaller(nc, instance_name)

    def update(key: str) -> Any:
        fields = {"endpointId": "e-1", "metadataKey": key, "metadataValue": LARGE}
        return caller.call("key-update", **fields)

    # A batch that has begun is carried out; the next waits, and with it its bytes.
    assert await register.pipeline.hold(20)
    waiting = asyncio.create_task(update("a"))
    await until(lambda: register.budget.used > len(LARGE))
    gauge = f'kaa_epr_register_pending_bytes{{worker="0"}} {float(register.budget.used)}'
    assert gauge in service.metrics.render().decode().splitlines()
    refused = await update("b")
    assert (refused["statusCode"], refused["reasonPhrase"]) == (503, "Too many requests are waiting")
    assert (refused["correlationId"], refused["endpointId"]) == ("c-1", "e-1")
    async with plain_client(f"{register.url}/api/v1") as http:
        path = "/endpoints/e-1/metadata/c"
        answer = await http.put(path, content=LARGE, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json() == {"message": "Too many requests are waiting"}
        assert (await http.get("/endpoints/e-1/metadata")).status_code == 200
        register.pipeline.go_on()
        assert (await waiting)["statusCode"] == 200
        await until(lambda: register.budget.used == 0)
        answer = await http.put(path, content=LARGE, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200
    assert (await update("b"))["statusCode"] == 200
    await until(lambda: register.budget.used == 0)
