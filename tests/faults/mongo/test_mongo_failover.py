"""MongoDB's members fail one at a time, under load that is judged throughout.

What was acknowledged is read back from that moment on, whoever is primary; 503 is allowed only while there is
none.
"""

from __future__ import annotations

import pytest

from kaa_epr.embedded import NatsServer
from tests.faults.mongo.serving import ELECTING, NEW_PRIMARY, noticed, serving
from tests.faults.scene import Scene
from tests.support.replica_set import ReplicaSet
from tests.support.waiting import kept

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


async def test_a_secondary_dies_and_comes_back(
    replica_set: ReplicaSet, scene: Scene, server: NatsServer
) -> None:
    async with serving(scene, server) as fleet:
        (member, _) = await kept(replica_set.secondaries)
        await kept(replica_set.kill, member)
        await scene.steady()
        await kept(replica_set.restart, member)
        await scene.steady()
        assert [await replica.metric(NEW_PRIMARY) for replica in fleet.replicas] == [0, 0]


async def test_the_primary_dies_and_comes_back(
    replica_set: ReplicaSet, scene: Scene, server: NatsServer
) -> None:
    async with serving(scene, server) as fleet:
        old = await kept(replica_set.primary)
        with scene.judge.phase(ELECTING):
            await kept(replica_set.kill, old)
            assert await kept(replica_set.primary, old) is not old
            await noticed(fleet)
            await scene.steady()
        await kept(replica_set.restart, old)
        await scene.steady()
    assert scene.judge.report.unanswered.total() == 0


async def test_the_primary_steps_down(replica_set: ReplicaSet, scene: Scene, server: NatsServer) -> None:
    async with serving(scene, server) as fleet:
        with scene.judge.phase(ELECTING):
            await kept(replica_set.step_down)
            await noticed(fleet)
            await scene.steady()
    assert scene.judge.report.unanswered.total() == 0


async def test_a_primary_that_hangs_is_replaced_and_wakes_up(
    replica_set: ReplicaSet, scene: Scene, server: NatsServer
) -> None:
    """When it goes on it still takes itself for the primary; nothing older than an event is taken from it."""
    async with serving(scene, server) as fleet:
        old = await kept(replica_set.primary)
        with scene.judge.phase(ELECTING):
            await kept(replica_set.freeze, old)
            await kept(replica_set.primary, old)
            await noticed(fleet)
            await scene.steady()
            await kept(replica_set.thaw, old)
            await scene.steady()
    assert scene.judge.report.unanswered.total() == 0
