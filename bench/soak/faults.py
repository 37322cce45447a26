"""What is done to the fleet. Each fault returns when what it broke runs again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from bench.soak.endpoints import Endpoint
from bench.soak.fleet import Fleet, Replica
from bench.soak.line import Line
from bench.soak.publisher import Publisher
from bench.soak.writers import BatchWriter
from kaa_epr.embedded import MongoServer
from tests.support.proxy import Proxy
from tests.support.waiting import kept, until

AWAY_SECONDS: Final = 2.0
HALF_OPEN_SECONDS: Final = 5.0
"""Longer than a replica takes to notice (2 s)."""
SILENT_SECONDS: Final = 3.0
"""Longer than a writer's silence takes to be noticed (1.5 s)."""
SLOW_BYTES: Final = 20_000.0
"""A second, for the slow consumer."""
SLOW_SECONDS: Final = 20.0
BURDENS: Final = 24
"""Messages of 64 KiB at a time that fill the buffers before the slow consumer."""
FRAME_PART: Final = 9001
"""Bytes after which a connection is cut; gets of one size rarely end there."""
CLIENTS: Final = 250
UNDECODABLE: Final = b"\xff" * 11


@dataclass
class Faults:
    """The fleet, and the writers that faults need."""

    fleet: Fleet
    bulk: Publisher
    silent: Publisher
    silent_writer: BatchWriter
    silent_endpoints: list[Endpoint]
    _turn: itertools.count[int] = field(default_factory=itertools.count)
    details: list[str] = field(default_factory=list)
    """What one would want to know afterwards, a line a fault."""

    async def kill_nats_server(self) -> None:
        """SIGKILL to one of three, and its return."""
        number = next(self._turn) % len(self.fleet.nats.members)
        await self.fleet.nats.kill(number)
        await asyncio.sleep(AWAY_SECONDS)
        await self.fleet.nats.start(number)

    async def kill_secondary(self) -> None:
        """SIGKILL to a secondary, and its return."""
        member = (await kept(self.fleet.mongo.secondaries))[0]
        await kept(self.fleet.mongo.kill, member)
        await asyncio.sleep(AWAY_SECONDS)
        await kept(self.fleet.mongo.restart, member)

    async def kill_primary(self) -> None:
        """SIGKILL to the primary, an election, and its return."""
        old = await kept(self.fleet.mongo.primary)
        await kept(self.fleet.mongo.kill, old)
        await kept(self.fleet.mongo.primary, old)
        await kept(self.fleet.mongo.restart, old)

    async def step_down(self) -> None:
        """The primary resigns."""
        new: MongoServer = await kept(self.fleet.mongo.step_down)
        self.details.append(f"stepdown: {new.address} is primary")

    async def half_open(self) -> None:
        """The connections of one replica stay up and carry nothing."""
        proxy = self._used_proxy
        proxy.stop_forwarding()
        await asyncio.sleep(HALF_OPEN_SECONDS)
        proxy.go_on()

    async def cut_mid_frame(self) -> None:
        """The connection of one replica is reset inside a message."""
        proxy = self._used_proxy
        proxy.cut_after("to_client", FRAME_PART)
        async with asyncio.timeout(SLOW_SECONDS):
            await proxy.was_cut.wait()

    async def lose_event(self) -> None:
        """One event of many takes its number and does not go out."""
        self.bulk.lose = 1
        await until(lambda: not self.bulk.lose, "the event that is lost")

    async def lose_last_event(self) -> None:
        """The last event before its writer falls silent, heartbeats included."""
        self.silent.muted = True
        await self.silent_writer.write(self.silent_endpoints)
        await asyncio.sleep(SILENT_SECONDS)
        self.silent.muted = False

    async def undecodable_event(self) -> None:
        """Bytes that are no event, where events are."""
        self.bulk.publish(UNDECODABLE)
        await asyncio.sleep(AWAY_SECONDS)

    async def slow_consumer(self) -> None:
        """One replica's connection carries so little that its nats-server cuts it off."""
        before = self.fleet.slow_consumers()
        # Every proxy: the replica may be the first to leave, for the other one.
        for proxy in self.fleet.proxies:
            proxy.throttle("to_client", SLOW_BYTES)
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                while self.fleet.slow_consumers() == before:
                    self.silent.burden(BURDENS)
                    await asyncio.sleep(0.2)
        finally:
            for proxy in self.fleet.proxies:
                proxy.throttle("to_client", 0)

    async def rolling_restart(self) -> None:
        """Each replica in turn: SIGTERM, its end, the next one."""
        for replica in self.fleet.replicas:
            status = await replica.stop()
            assert status == 0, f"{replica.name} ended with {status}"
            await replica.start()

    async def reconnect_clients(self) -> None:
        """Many clients come at once, and go."""
        urls = self.fleet.nats.urls
        lines = [Line(urls[n % len(urls) :] + urls[: n % len(urls)]) for n in range(CLIENTS)]
        await asyncio.gather(*(line.open() for line in lines))
        await asyncio.gather(*(line.confirmed() for line in lines))
        await asyncio.gather(*(line.close() for line in lines))

    async def kill_replica(self) -> None:
        """SIGKILL to a replica, and its return."""
        replica: Replica = self.fleet.replicas[next(self._turn) % len(self.fleet.replicas)]
        await replica.kill()
        await replica.start()

    @property
    def _used_proxy(self) -> Proxy:
        """The one that the third replica is connected through."""

        def living(proxy: Proxy) -> int:
            return sum(not pair.client.transport.is_closing() for pair in proxy.pairs)

        return max(self.fleet.proxies, key=living)


def kinds() -> dict[str, Callable[[Faults], Awaitable[None]]]:
    """Every kind of fault by its name in the report."""
    return {
        "nats-server killed": Faults.kill_nats_server,
        "mongod secondary killed": Faults.kill_secondary,
        "mongod primary killed": Faults.kill_primary,
        "primary stepdown": Faults.step_down,
        "half-open link": Faults.half_open,
        "cut mid-frame": Faults.cut_mid_frame,
        "event lost": Faults.lose_event,
        "last event lost before silence": Faults.lose_last_event,
        "undecodable event": Faults.undecodable_event,
        "slow consumer": Faults.slow_consumer,
        "rolling restart": Faults.rolling_restart,
        "clients reconnecting": Faults.reconnect_clients,
        "replica killed": Faults.kill_replica,
    }


MAY_BE_STALE: Final = {"nats-server killed": 2.0, "event lost": 2.0, "last event lost before silence": 2.0}
"""Where events get lost, an answer may be as old as it takes to notice (1.5 s), and a message to arrive."""
BOUND: Final = 1.0
"""Seconds, everywhere else."""
LOSES_NOTHING: Final = {
    "rolling restart",
    "undecodable event",
    "event lost",
    "last event lost before silence",
    "clients reconnecting",
    "mongod secondary killed",
}
"""During these every get is answered, and with 200."""
