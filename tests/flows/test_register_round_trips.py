"""A batch of 1000 costs one round trip per stage, counted where the driver sends its commands."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest
from pymongo import monitoring

from kaa_epr.embedded import MongoServer, NatsServer
from tests.flows.register_support import EpmmpCaller, Listener, connected, register_settings, serving

COUNT = 1000


class Commands(monitoring.CommandListener):
    """Commands on one collection, by name; the driver keeps listeners for ever, so this one can be deaf."""

    def __init__(self) -> None:
        self.database = ""
        self.seen: Counter[str] = Counter()
        self.statements: Counter[str] = Counter()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        command = event.command
        name = event.command_name
        if event.database_name != self.database or command.get(name) != "endpoints":
            return
        if name == "find" and "$in" not in str(command.get("filter", {}).get("_id", "")):
            return  # the sweeper's look for outboxes
        if name == "aggregate":
            return  # its count of them, for metrics
        self.seen[name] += 1
        self.statements[name] += len(command.get("updates", ())) or 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Not asked for."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Not asked for."""


COMMANDS = Commands()
monitoring.register(COMMANDS)


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_one_round_trip_per_stage(
    driver: str, nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str
) -> None:
    settings = register_settings(
        nats_server.url, mongod.uri, instance_name, mongo_database, mongo={"driver": driver}
    )
    async with connected(nats_server.url) as nc, serving(settings) as service:
        assert service.register is not None
        cleared = asyncio.Event()
        service.register.parts.on_stage = lambda stage: cleared.set() if stage == "cleared" else None
        listener = Listener(nc)
        await listener.listen(instance_name)

        _watch(mongo_database)
        body = {
            "appVersion": {"name": "a-v1"},
            "endpoints": [{"endpointId": f"e-{n}", "metadata": {"n": n}} for n in range(COUNT)],
        }
        async with httpx.AsyncClient(base_url=service.register.url or "") as http:
            accepted = await http.post("/api/v1/endpoints/batch", json=body)
        assert accepted.status_code == 202
        heard = await listener.wait_for(COUNT)
        async with asyncio.timeout(20):
            await cleared.wait()
        assert {event.fields["endpointId"] for event in heard} == {f"e-{n}" for n in range(COUNT)}
        # One read; one write of all documents with their events; one clearing of all outboxes.
        assert COMMANDS.seen == {"find": 1, "update": 2}
        assert COMMANDS.statements["update"] == COUNT + 1

        cleared.clear()
        _watch(mongo_database)
        update = [{"endpointId": f"e-{n}", "metadataKey": "n", "metadataValue": b"-1"} for n in range(COUNT)]
        answer = await EpmmpCaller(nc, instance_name).call("key-batch-update", commands=update)
        assert answer["statusCode"] == 200
        async with asyncio.timeout(20):
            await cleared.wait()
        # One more read: whether all endpoints are known, before any is changed.
        assert COMMANDS.seen == {"find": 2, "update": 2}
        assert COMMANDS.statements["update"] == COUNT + 1
        assert len(await listener.settle()) == 2 * COUNT


def _watch(database: str) -> None:
    COMMANDS.database = database
    COMMANDS.seen.clear()
    COMMANDS.statements.clear()
