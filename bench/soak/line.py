"""A plain NATS connection that costs next to nothing: bytes out, chunks in, a PING behind what was sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, cast
from urllib.parse import urlsplit

CONNECT: Final = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
CONNECT_SECONDS: Final = 2.0
CONFIRM_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 0.1
PONG: Final = b"PONG\r\n"


class LineLost(Exception):
    """The connection went away before the server confirmed."""


class Line(asyncio.Protocol):
    """Connected to the first of ``servers`` that takes it, and connected anew whenever that ends.

    ``on_chunk`` gets the bytes as they come; whoever reads them says ``pong()`` and ``ping()`` for each of
    these frames. ``hello`` is sent at the beginning of every connection (subscriptions).
    """

    def __init__(
        self, servers: Sequence[str], on_chunk: Callable[[bytes], None] | None = None, hello: bytes = b""
    ) -> None:
        self._servers = [_address(url) for url in servers]
        self._on_chunk = on_chunk or self._count_frames
        self._hello = hello
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self._connected = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._rest = b""
        self.connects = 0

    @property
    def up(self) -> bool:
        """Whether there is a connection that is not blocked."""
        return self._transport is not None

    async def open(self) -> None:
        """Connects, and keeps connecting in the background."""
        await self._connect()
        self._keeping = asyncio.get_running_loop().create_task(self._keep())

    async def reconnected(self) -> None:
        """Returns once there is a connection."""
        await self._connected.wait()

    async def close(self) -> None:
        """Ends it for good."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    def write(self, frames: bytes) -> None:
        """Hands frames to the connection; lost where there is none."""
        if self._transport is not None:
            self._transport.write(frames)

    async def confirmed(self) -> None:
        """Returns when the server has taken all that was written before. Raises LineLost."""
        if self._transport is None:
            raise LineLost
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self._transport.write(b"PING\r\n")
        try:
            await asyncio.wait_for(asyncio.shield(pong), CONFIRM_SECONDS)
        except TimeoutError:
            if self._transport is not None:  # half-open
                self._transport.abort()
            raise LineLost from None

    def pong(self) -> None:
        """The server answered the oldest PING."""
        if self._pongs:
            waiting = self._pongs.popleft()
            if not waiting.done():
                waiting.set_result(None)

    def ping(self) -> None:
        """The server wants to know whether we live."""
        self.write(PONG)

    # --- asyncio.Protocol -----------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says who we are."""
        made = cast(asyncio.Transport, transport)  # uvloop's is one in all but its bases
        self._transport = made
        self._rest = b""
        self._lost.clear()
        self._connected.set()
        self.connects += 1
        made.write(CONNECT + self._hello)

    def data_received(self, data: bytes) -> None:
        """Hands the chunk on."""
        self._on_chunk(data)

    def connection_lost(self, _error: Exception | None) -> None:
        """Tells whoever waits for a confirmation."""
        self._transport = None
        self._connected.clear()
        while self._pongs:
            waiting = self._pongs.popleft()
            if not waiting.done():
                waiting.set_exception(LineLost())
                waiting.exception()  # whoever waited may have gone
        self._lost.set()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for host, port in self._servers:
                try:
                    async with asyncio.timeout(CONNECT_SECONDS):
                        await loop.create_connection(lambda: self, host, port)
                except (OSError, TimeoutError):
                    continue
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _keep(self) -> None:
        while True:
            await self._lost.wait()
            await self._connect()

    def _count_frames(self, data: bytes) -> None:
        """For lines that subscribe to nothing: INFO, PING and PONG is all that comes."""
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            if line == b"PONG":
                self.pong()
            elif line == b"PING":
                self.ping()


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port
