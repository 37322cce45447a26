"""A batch of 1000 costs one round trip per stage, counted where the driver sends its commands."""

from __future__ import annotations

import pytest

from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.register.batches import working
from tests.flows.register_support import EpmmpCaller, Listener, connected, register_settings, serving
from tests.support.http_client import plain_client
from tests.support.stages import Stages
from tests.support.store_commands import COMMANDS

COUNT = 1000


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_one_round_trip_per_stage(
    driver: str,
    nats_server: NatsServer,
    mongod: MongoServer,
    mongo_database: str,
    instance_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(working, "PORTION", COUNT)
    settings = register_settings(
        nats_server.url, mongod.uri, instance_name, mongo_database, mongo={"driver": driver}
    )
    stages = Stages()
    async with connected(nats_server.url) as nc, serving(settings, stages) as service:
        assert service.register is not None
        listener = Listener(nc)
        await listener.listen(instance_name)

        COMMANDS.watch(mongo_database)
        body = {
            "appVersion": {"name": "a-v1"},
            "endpoints": [{"endpointId": f"e-{n}", "metadata": {"n": n}} for n in range(COUNT)],
        }
        async with plain_client(service.register.url) as http:
            accepted = await http.post("/api/v1/endpoints/batch", json=body)
        assert accepted.status_code == 202
        heard = await listener.wait_for(COUNT)
        await stages.until("cleared", 1)
        assert {event.fields["endpointId"] for event in heard} == {f"e-{n}" for n in range(COUNT)}
        # One look at the versions, for the task; one read; one write of all documents with their events; one
        # clearing of all outboxes.
        assert COMMANDS.seen == {"find": 2, "update": 2}
        assert COMMANDS.statements["update"] == COUNT + 1

        COMMANDS.watch(mongo_database)
        update = [{"endpointId": f"e-{n}", "metadataKey": "n", "metadataValue": b"-1"} for n in range(COUNT)]
        answer = await EpmmpCaller(nc, instance_name).call("key-batch-update", commands=update)
        assert answer["statusCode"] == 200
        await stages.until("cleared", 2)
        # One more read: whether all endpoints are known, before any is changed.
        assert COMMANDS.seen == {"find": 2, "update": 2}
        assert COMMANDS.statements["update"] == COUNT + 1
        assert len(await listener.settle()) == 2 * COUNT
