"""Every server of a cluster is killed and comes back, while three replicas, one of each kind, are asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.scene import EVENT_LOST, Scene
from tests.support.fleet import ENGINES, REGISTER, Fleet, merged
from tests.support.judge import Allowance
from tests.support.nats_cluster import NatsCluster
from tests.support.writers import RegisterWriter

pytestmark = [pytest.mark.faults, pytest.mark.slow]

CLUSTER = Allowance(acknowledged=EVENT_LOST, seen=EVENT_LOST, unanswered=True)
"""Propagation is bounded by nothing better than the signals for lost events."""


@pytest.mark.timeout(180)
async def test_each_server_is_killed_and_comes_back(tmp_path: Path, scene: Scene) -> None:
    async with NatsCluster(tmp_path / "cluster") as cluster:
        urls = cluster.urls
        replicas = [
            scene.replica(
                urls[number],
                merged(ENGINES[engine], REGISTER if number == 0 else {}),
                # Its own server first; nats-py shuffles the rest away only after that one is gone.
                {"nats": {"servers": [urls[number], *urls[:number], *urls[number + 1 :]]}},
                name=engine,
            )
            for number, engine in enumerate(ENGINES)
        ]
        for url in urls:
            scene.getter(url, *[other for other in urls if other != url], rate=150.0, patience=3.0)
        scene.bulk(*urls)
        register = RegisterWriter(
            scene.judge,
            scene.collection,
            scene.register_ids,
            instance=scene.instance,
            urls=urls,
            rate=40.0,
            hot=[getter.hot for getter in scene.getters],
        )
        scene.writers.append(register)
        async with Fleet(replicas) as fleet, scene.checked_load(CLUSTER):
            for number in range(len(urls)):
                await scene.settled(fleet)
                await cluster.kill(number)
                await scene.steady(answers=150, writes=10)
                await cluster.start(number)
                await cluster.wait_formed()
            await scene.settled(fleet)
            assert [replica.process.running for replica in replicas] == [True] * 3
