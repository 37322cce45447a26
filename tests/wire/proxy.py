"""A TCP proxy on loopback that can do to a connection what networks do."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Pair:
    """One proxied connection."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter


@dataclass
class Proxy:
    """Forwards to ``port`` of loopback. Everything can be changed while connections are up."""

    port: int
    piece: int | None = None
    """Bytes handed on at a time; every piece is a write of its own."""
    to_client: int = 0
    """Bytes handed on from the server to the client so far."""
    to_server: int = 0
    accepted: int = 0
    pairs: list[Pair] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._flowing = {"to_client": asyncio.Event(), "to_server": asyncio.Event()}
        self._tasks: set[asyncio.Task[None]] = set()
        self._rates: dict[str, float] = {}
        for direction in self._flowing:
            self._flowing[direction].set()

    async def __aenter__(self) -> Self:
        # A small window, as on a slow network: what is not handed on is not acknowledged for long.
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
        self._listener = await asyncio.start_server(self._accept, sock=listener, limit=128 * 1024)
        self.listens_on = int(self._listener.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """For clients."""
        return f"nats://127.0.0.1:{self.listens_on}"

    def stop_forwarding(self, *directions: str) -> None:
        """Half-open: the connections stay up and take what the kernels take, but nothing comes through."""
        for direction in directions or tuple(self._flowing):
            self._flowing[direction].clear()

    def go_on(self) -> None:
        """Undoes ``stop_forwarding``."""
        for event in self._flowing.values():
            event.set()

    def throttle(self, direction: str, bytes_per_second: float) -> None:
        """Hands on about so many bytes a second in one direction; 0: as fast as it goes."""
        self._rates[direction] = bytes_per_second

    def cut(self) -> None:
        """Resets every connection, in the middle of whatever it was doing."""
        for pair in self.pairs:
            for writer in (pair.client, pair.server):
                writer.transport.abort()
        self.pairs.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self.port, limit=256 * 1024)
        except OSError:
            writer.transport.abort()
            return
        pair = Pair(client=writer, server=forth)
        self.pairs.append(pair)
        for source, target, direction in ((reader, forth, "to_server"), (back, writer, "to_client")):
            task = asyncio.get_running_loop().create_task(self._pump(source, target, direction))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, direction: str) -> None:
        try:
            while data := await source.read(self.piece or 65536):
                await self._flowing[direction].wait()
                target.write(data)
                await target.drain()
                setattr(self, direction, getattr(self, direction) + len(data))
                if rate := self._rates.get(direction):
                    # The rate is what the test is about; nobody waits for this to have happened.
                    await asyncio.sleep(len(data) / rate)
            target.close()
        except OSError:
            target.transport.abort()
