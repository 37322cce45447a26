"""A NATS client of the few things that load and probes need, cheap enough for tens of thousands a second."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Self, cast
from urllib.parse import urlsplit

from kaa_epr.nats.publisher import publication
from tests.support.frames import Cutter, Item

CONNECT_TIMEOUT: Final = 5.0
Handler = Callable[[Item], object]


class Lost(ConnectionError):
    """The connection ended before what was waited for came."""


class RawNats(asyncio.Protocol):
    """One connection; when it is lost it stays so, and ``lost`` is set."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.errors: list[str] = []
        """What the server complained of (``-ERR``)."""
        self._cutter = Cutter()
        self._handlers: dict[bytes, Handler] = {}
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connected(
        cls, url: str, options: Mapping[str, object] | None = None, *, echo: bool = True
    ) -> Self:
        """Connects to one server. Raises OSError or TimeoutError."""
        address = urlsplit(url)
        host, port = str(address.hostname), int(address.port or 4222)
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, made = await asyncio.get_running_loop().create_connection(cls, host, port)
            said = {"verbose": False, "headers": True, "no_responders": True, "echo": echo, **(options or {})}
            try:
                made.write(b"CONNECT " + json.dumps(said).encode() + b"\r\n")
                await made.round_trip()
            except BaseException:
                made.close()
                raise
        return made

    def subscribe(self, subject: str, handler: Handler, queue: str = "") -> None:
        """Calls ``handler`` with every message; a round trip shows that it stands."""
        sid = str(len(self._handlers) + 1).encode()
        self._handlers[sid] = handler
        self.write(f"SUB {subject} {queue} ".encode() + sid + b"\r\n")

    def publish(self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None) -> None:
        """One message, in order."""
        self.write(publication(subject, payload, headers))

    def write(self, frames: bytes) -> None:
        """Protocol bytes. Raises ``Lost``."""
        if self._transport is None or self.lost.is_set():
            raise Lost("not connected")
        self._transport.write(frames)

    @property
    def unsent(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    async def round_trip(self) -> None:
        """Returns when the server has handled all that was written before. Raises ``Lost``."""
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self.write(b"PING\r\n")
        await pong

    def close(self) -> None:
        """Ends it; what is written goes out first."""
        if self._transport is not None:
            self._transport.close()

    # --- asyncio.Protocol -----------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its bases

    def data_received(self, data: bytes) -> None:
        for item in self._cutter.feed(data):
            match item.verb:
                case b"MSG" | b"HMSG":
                    self._handlers[item.line.split(b" ", 3)[2]](item)
                case b"PING":
                    self.write(b"PONG\r\n")
                case b"PONG":
                    if not (pong := self._pongs.popleft()).done():
                        pong.set_result(None)
                case b"-ERR":
                    self.errors.append(item.line.decode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        for pong in self._pongs:
            if not pong.done():
                pong.set_exception(Lost("the connection ended"))
                pong.exception()  # nobody may be waiting for it any more
        self._pongs.clear()


class Lasting:
    """A connection to one of several servers, made anew when it is needed and was lost; one at a time."""

    def __init__(
        self, urls: Sequence[str], prepare: Callable[[RawNats], Awaitable[object]] | None = None
    ) -> None:
        """``prepare`` is awaited with every new connection before anybody gets it."""
        self._urls = list(urls)
        self._prepare = prepare
        self._connection: RawNats | None = None
        self._connecting = asyncio.Lock()

    async def get(self) -> RawNats:
        """One that is not known to be lost. Raises OSError or TimeoutError when the next server refuses."""
        async with self._connecting:
            if self._connection is None or self._connection.lost.is_set():
                self._connection = await self._new()
            return self._connection

    async def _new(self) -> RawNats:
        self._urls.append(self._urls.pop(0))
        made = await RawNats.connected(self._urls[0])
        if self._prepare is not None:
            try:
                await self._prepare(made)
            except BaseException:
                made.close()
                raise
        return made

    def close(self) -> None:
        """Ends the connection that there is."""
        if self._connection is not None:
            self._connection.close()
