"""All replicas are replaced one after the other, under load: no get is lost, and none is answered 503."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaa_epr.embedded import NatsServer
from tests.faults.scene import Scene
from tests.support.fleet import REGISTER, Fleet
from tests.support.judge import Allowance
from tests.support.nats_cluster import NatsCluster

pytestmark = pytest.mark.faults


async def test_on_one_server(scene: Scene, server: NatsServer) -> None:
    scene.getter(server.url, rate=1000.0)
    scene.bulk(server.url)
    replicas = [scene.replica(server.url, REGISTER, name=f"replica-{number}") for number in range(3)]
    async with Fleet(replicas) as fleet, scene.checked_load(Allowance(seen=30.0)):
        for replica in fleet.replicas:
            await scene.steady()
            assert await replica.stop() == 0
            await scene.steady()
            await replica.start()
        await scene.settled(fleet)


async def test_on_a_cluster(scene: Scene, tmp_path: Path) -> None:
    """A get that another server handed on may arrive a moment before an event does."""
    async with NatsCluster(tmp_path) as cluster:
        for url in cluster.urls:
            scene.getter(url, rate=400.0)
        scene.bulk(*cluster.urls)
        replicas = [scene.replica(url, name=f"replica-{number}") for number, url in enumerate(cluster.urls)]
        async with Fleet(replicas) as fleet, scene.checked_load(Allowance(acknowledged=1.0, seen=30.0)):
            for replica in fleet.replicas:
                await scene.steady()
                assert await replica.stop() == 0
                await scene.steady()
                await replica.start()
            await scene.settled(fleet)
