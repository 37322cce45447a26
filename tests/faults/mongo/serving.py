"""Two replicas of one instance, one for each driver, which meet every fault together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from kaa_epr.embedded import NatsServer
from tests.faults.scene import Scene
from tests.support.fleet import Fleet
from tests.support.judge import Allowance

DRIVERS: Final = ("motor", "pymongo")
CALM: Final = Allowance(seen=30.0)
"""One replica may show a write that the other has cached the time before of, until it is acknowledged."""
ELECTING: Final = Allowance(seen=30.0, unavailable=True)
NEW_PRIMARY: Final = "kaa_epr_flushes_total:store_primary_changed"


@asynccontextmanager
async def serving(scene: Scene, server: NatsServer) -> AsyncIterator[Fleet]:
    """Both drivers under load; in the end they answer from their caches, and none was restarted."""
    replicas = [scene.replica(server.url, {"mongo": {"driver": driver}}, name=driver) for driver in DRIVERS]
    async with Fleet(replicas) as fleet, scene.checked_load(CALM):
        await scene.settled(fleet)
        yield fleet
        await scene.settled(fleet)


async def noticed(fleet: Fleet) -> None:
    """Until every replica has dropped its cache for a new primary."""
    await asyncio.gather(*(replica.until_metric(NEW_PRIMARY, 1) for replica in fleet.replicas))
