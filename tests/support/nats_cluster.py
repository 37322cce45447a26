"""Three nats-servers in one cluster on loopback; each can be killed and comes back on its ports."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, Self

from kaa_epr.embedded import NatsServer
from kaa_epr.embedded.nats import HOST
from tests.support.raw_nats import RawNats
from tests.support.waiting import DEADLINE, kept, until

SIZE: Final = 3


class Member(NatsServer):
    """One server of the cluster. It does not tell clients of the others: they stay on the link they have."""

    def _write_config(self) -> None:
        super()._write_config()
        text = self.config_file.read_text()
        self.config_file.write_text(text.replace("cluster {", "cluster {\n  no_advertise: true", 1))


class NatsCluster:
    """An async context manager: inside, all members run and hear each other."""

    def __init__(self, directory: Path, name: str = "faults", size: int = SIZE) -> None:
        self.members = [Member(directory / f"nats-{number}", cluster=name) for number in range(size)]

    async def __aenter__(self) -> Self:
        try:
            for number, member in enumerate(self.members):
                member.routes = tuple(other.route_url for other in self.members[:number])
                await kept(member.start)
            for member in self.members:
                member.routes = tuple(other.route_url for other in self.members if other is not member)
            await self.wait_formed()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for member in self.members:
            await kept(member.kill)

    @property
    def urls(self) -> list[str]:
        """Of all members, for clients."""
        return [member.url for member in self.members]

    async def kill(self, number: int) -> None:
        """SIGKILL to one member."""
        await kept(self.members[number].kill)

    async def start(self, number: int) -> None:
        """One that was killed, on the same ports; returns when it takes clients."""
        await kept(self.members[number].start)

    async def wait_formed(self) -> None:
        """Until a message published on any running member is heard on every one."""
        running = [member for member in self.members if member.process.running]
        clients = [await RawNats.connected(member.url) for member in running]
        heard: set[tuple[int, int]] = set()
        try:
            for at, client in enumerate(clients):
                client.subscribe("formed", lambda item, at=at: heard.add((int(item.payload), at)))  # type: ignore[misc]
                await client.round_trip()

            async def all_heard() -> bool:
                for number, client in enumerate(clients):
                    client.publish("formed", str(number).encode())
                await asyncio.gather(*(client.round_trip() for client in clients))
                return len(heard) == len(clients) ** 2

            await until(all_heard, f"a cluster of {len(clients)} on {HOST}", DEADLINE)
        finally:
            for client in clients:
                client.close()
