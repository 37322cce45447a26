"""Both servers lost for seconds, in every order; nothing is restarted but they."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from kaa_epr.embedded import MongoServer, NatsServer
from tests.faults.scene import Scene
from tests.support.fleet import LOOK, REGISTER, Fleet
from tests.support.judge import Allowance
from tests.support.waiting import kept, until
from tests.support.writers import RegisterWriter

pytestmark = [pytest.mark.faults, pytest.mark.slow]

AWAY = Allowance(unanswered=True, unavailable=True)
"""On one NATS server nothing is stale at any time; but gets are lost with it, and 503 without a store."""


@pytest.mark.timeout(240)
async def test_both_are_lost_and_come_back_in_every_order(tmp_path: Path, server: NatsServer) -> None:
    with MongoServer(tmp_path / "mongo") as mongo:
        scene = Scene(tmp_path, mongo.uri, "faults", "epr")
        await scene.fill()
        scene.getter(server.url, alone=True, rate=150.0, patience=3.0)
        scene.writers.append(
            RegisterWriter(
                scene.judge,
                scene.collection,
                scene.register_ids,
                instance="epr",
                urls=[server.url],
                rate=40.0,
                hot=[scene.getters[0].hot],
            )
        )
        servers: dict[str, NatsServer | MongoServer] = {"nats": server, "mongo": mongo}
        async with Fleet([scene.replica(server.url, REGISTER)]) as fleet, scene.checked_load(AWAY):
            for lost, found in itertools.product(itertools.permutations(servers), repeat=2):
                for name in lost:
                    await kept(servers[name].kill)
                    await until(lambda name=name: noticed(fleet, name), every=LOOK)  # type: ignore[misc]
                for name in found:
                    await kept(servers[name].start)
                await fleet[0].until_metric("store_up", 1)
                await scene.settled(fleet)
            assert fleet[0].process.running
        await scene.close()


async def noticed(fleet: Fleet, name: str) -> bool:
    """Whether the replica knows that a server is away."""
    gauge = {"nats": "link_up", "mongo": "store_up"}[name]
    # Without gets nothing is loaded, and nobody misses the store.
    deaf = name == "mongo" and await fleet[0].metric("link_up") == 0
    return deaf or await fleet[0].metric(gauge) == 0
