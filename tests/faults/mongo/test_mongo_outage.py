"""MongoDB is gone as a whole, or with NATS, or loses what it acknowledged; load is judged throughout."""

from __future__ import annotations

from typing import Final

import pytest
from bson import Int64
from pymongo import WriteConcern

from kaa_epr.embedded import NatsServer
from kaa_epr.messages import subjects
from kaa_epr.messages.outgoing import EventKind, encode
from tests.faults.mongo.serving import ELECTING, noticed, serving
from tests.faults.scene import Scene
from tests.support.fleet import LOOK, Fleet
from tests.support.history import History
from tests.support.judge import STRICT, Allowance, Judge
from tests.support.load import Getter
from tests.support.raw_nats import RawNats
from tests.support.replica_set import ReplicaSet
from tests.support.waiting import kept, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

AWAY: Final = Allowance(seen=30.0, unavailable=True, unanswered=True)
"""NATS is gone as well."""


async def all_killed(replica_set: ReplicaSet, fleet: Fleet) -> None:
    """Until every replica knows that its store is gone."""
    for member in replica_set.members:
        await kept(replica_set.kill, member)

    async def gone() -> bool:
        return not any([await replica.metric("store_up") for replica in fleet.replicas])

    await until(gone, "a store that is down", 30.0, every=LOOK)


async def test_cached_endpoints_are_answered_while_mongodb_is_gone(
    replica_set: ReplicaSet, scene: Scene, server: NatsServer
) -> None:
    cached = Judge(History(scene.register_ids), STRICT)
    reader = Getter(cached, scene.instance, [server.url], rate=400.0)
    async with serving(scene, server) as fleet:
        await reader.start()
        await reader.more(1500)  # each endpoint often enough for both replicas to have it
        with scene.judge.phase(ELECTING):
            await all_killed(replica_set, fleet)
            await reader.more(800)
            cached.check(least=2000)
            cached.allow(ELECTING)
            await all_started(replica_set)
            await scene.settled(fleet)
        await reader.stop()
    cached.check(least=2000)


async def test_both_are_gone_and_come_back(replica_set: ReplicaSet, scene: Scene, server: NatsServer) -> None:
    async with serving(scene, server) as fleet:
        with scene.judge.phase(AWAY):
            await kept(server.kill)
            for member in replica_set.members:
                await kept(replica_set.kill, member)
            await kept(server.start)
            await all_started(replica_set)
            await scene.settled(fleet)
        assert [await replica.metric("link_connects_total") for replica in fleet.replicas] == [2, 2]


async def all_started(replica_set: ReplicaSet) -> None:
    """Members that were killed, and a primary among them."""
    for member in replica_set.members:
        await kept(replica_set.restart, member)
    await kept(replica_set.primary)


async def test_a_write_that_is_rolled_back_is_never_shown(
    replica_set: ReplicaSet, scene: Scene, server: NatsServer
) -> None:
    """Acknowledged by the primary alone (w:1), told of by an event without headers, gone with the primary."""
    ids = scene.register_ids[:5]
    async with serving(scene, server) as fleet:
        old = await kept(replica_set.primary)
        rollbacks = await kept(replica_set.rollbacks, old)
        alone = replica_set.not_replicating()
        with scene.judge.phase(ELECTING):
            await kept(alone.__enter__)
            counters = {endpoint_id: scene.history.begin(endpoint_id) for endpoint_id in ids}
            await _write_unreplicated(scene, counters)
            await _tell(server.url, ids)
            await _ask_often(scene, ids)
            await kept(replica_set.kill, old)
            await kept(alone.__exit__, None, None, None)
            await kept(replica_set.primary, old)
            await noticed(fleet)
        await kept(replica_set.restart, old)
        assert await kept(replica_set.rollbacks, old) == rollbacks + 1
        async for document in scene.collection.find({"_id": {"$in": ids}}):
            assert document["metadata"][0]["value"] == 0
        for endpoint_id, counter in counters.items():
            scene.judge.dropped(endpoint_id, counter)
        await _ask_often(scene, ids)


async def _write_unreplicated(scene: Scene, counters: dict[str, int]) -> None:
    """On the primary's disk, so that it is rolled back and not merely lost."""
    alone = scene.collection.with_options(write_concern=WriteConcern(1, j=True))
    for endpoint_id, counter in counters.items():
        change = {"$set": {"metadata.0.value": Int64(counter)}, "$inc": {"version": Int64(1)}}
        assert (await alone.update_one({"_id": endpoint_id}, change)).modified_count == 1


async def _tell(url: str, ids: list[str]) -> None:
    """Events as a stock service publishes them."""
    stock = await RawNats.connected(url)
    for endpoint_id in ids:
        fields = {"correlationId": "w", "timestamp": 1, "timeout": 0, "originatorReplicaId": "w"}
        fields |= {"appVersionName": "app-v1", "endpointId": endpoint_id}
        payload = encode(EventKind.METADATA_UPDATED, fields | {"removed": {}, "added": {}, "updated": {}})
        stock.publish(subjects.metadata_updated("stock"), payload)
    await stock.round_trip()
    stock.close()


async def _ask_often(scene: Scene, ids: list[str]) -> None:
    (getter,) = scene.getters
    getter.hot.extend(ids * 40)
    await getter.more(len(ids) * 40 + 100)
