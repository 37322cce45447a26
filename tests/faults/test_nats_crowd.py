"""A thousand clients come back at once, each with a get."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from kaa_epr.embedded import NatsServer
from kaa_epr.messages import subjects
from tests.faults.scene import LOSSY, Scene
from tests.property.messages import Get
from tests.support.fleet import Fleet
from tests.support.load import read_answer
from tests.support.raw_nats import RawNats
from tests.support.waiting import kept

pytestmark = pytest.mark.faults

CLIENTS = 1_000
AT_ONCE = 250
"""Connections that one loop opens at a time: the server's backlog is no part of the test."""


class Client:
    """Connects, asks, is thrown out, and does it again."""

    def __init__(self, number: int, url: str, instance: str, endpoint_id: str) -> None:
        self.url = url
        self.subject = subjects.metadata_get_request(instance)
        self.inbox = f"crowd.{number}"
        self.payload = Get(correlation_id=str(number), endpoint_id=endpoint_id).encode()
        self.answers: asyncio.Queue[int] = asyncio.Queue()

    async def ask(self, room: asyncio.Semaphore) -> RawNats:
        """A new connection on which one get was answered; asks again as long as nobody listens."""
        async with room:
            connection = await self._connected()
            connection.subscribe(self.inbox, lambda item: self.answers.put_nowait(self._status(item.payload)))
            status = 0
            while status == 0:
                connection.write(
                    f"PUB {self.subject} {self.inbox} {len(self.payload)}\r\n".encode()
                    + self.payload
                    + b"\r\n"
                )
                status = await self.answers.get()
            assert status == 200
        return connection

    async def _connected(self) -> RawNats:
        """As a client does that a crowd keeps out: tries again."""
        while True:
            with suppress(OSError, TimeoutError):
                return await RawNats.connected(self.url)
            await asyncio.sleep(0)

    @staticmethod
    def _status(payload: bytes) -> int:
        """0 when nobody listened."""
        return read_answer(payload)[1].status if payload else 0


async def test_a_thousand_clients_reconnect_at_once(server: NatsServer, scene: Scene) -> None:
    server.config_lines = ()  # nor is how long a thousand clients in one process take to answer its pings
    server.restart()
    scene.getter(server.url, alone=True)
    scene.bulk(server.url)
    crowd = [Client(number, server.url, scene.instance, f"bulk-{number % 60}") for number in range(CLIENTS)]
    room = asyncio.Semaphore(AT_ONCE)
    async with Fleet([scene.replica(server.url)]) as fleet, scene.checked_load(LOSSY):
        connections = await asyncio.gather(*(client.ask(room) for client in crowd))
        await kept(server.kill)
        await asyncio.gather(*(connection.lost.wait() for connection in connections))
        await kept(server.start)
        connections = await asyncio.gather(*(client.ask(room) for client in crowd))
        await scene.settled(fleet)
        for connection in connections:
            connection.close()
