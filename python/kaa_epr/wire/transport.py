"""nats-py's transport with the core in its read path (design section 1).

nats-py owns the connection: servers, authentication, TLS, reconnecting, subscriptions. It reads through a
``nats.aio.transport.Transport``; this one passes every chunk that arrives to the engine first, writes the
engine's answers, and lets nats-py read what is its own. No task runs and no object is made per get.

Bounds: the write buffer's ceiling is ``write_limit`` plus one feed's answers; reading stops above it and
while nats-py has more than ``INBOX_LIMIT`` bytes unread. asyncio may deliver what it had already received (at
most one buffer) after that.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast
from urllib.parse import ParseResult

from nats.aio.transport import TcpTransport

from kaa_epr.clock import mono_ms, wall_ms
from kaa_epr.engine.api import FastEngine, FeedResult

INBOX_LIMIT = 4 * 1024 * 1024
"""Bytes that nats-py has not read yet above which reading from the socket stops."""

CLOSE_DEADLINE = 0.5
"""Seconds a closing connection may take to send what is left; then it is aborted: a half-open one hangs."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What the engine needs of the server's INFO."""

    max_payload: int
    headers: bool
    cluster: bool

    @classmethod
    def parse(cls, line: bytes) -> ServerInfo:
        """Reads an INFO line; nats-py checks it and reports what is wrong with it."""
        info: dict[str, Any] = json.loads(line.partition(b" ")[2])
        return cls(
            max_payload=int(info.get("max_payload", 1024 * 1024)),
            headers=bool(info.get("headers", False)),
            cluster=bool(info.get("cluster") or info.get("connect_urls")),
        )


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the transport tells the service; called on the loop's thread, must be cheap."""

    loads: Callable[[], None]
    """Flights are queued: kick the loader."""
    observe: Callable[[float, int], None]
    """A feed took this many seconds and made this many answers."""


class _Wire(asyncio.Protocol):
    """One connection's two directions."""

    def __init__(self, engine: FastEngine, hooks: Hooks, write_limit: int) -> None:
        self._engine = engine
        self._hooks = hooks
        self._write_limit = write_limit
        self.transport: asyncio.Transport | None = None
        self.inbox = bytearray()
        self.bytes_read = 0
        self.eof = False
        self.error: Exception | None = None
        self.writable = True
        self._more = False
        self._reading = True
        self._readable: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # --- asyncio's calls ------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=self._write_limit)

    def data_received(self, data: bytes) -> None:
        self.bytes_read += len(data)
        begun = perf_counter()
        self._take(self._engine.feed(data, wall_ms(), mono_ms()), begun)
        if self._more:
            self.pump()
        if self._more or len(self.inbox) > INBOX_LIMIT:
            self._flow()

    def eof_received(self) -> bool:
        self.eof = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.eof = True
        self.error = exc
        self.writable = False
        self._wake()
        self._release()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self.writable = False
        self._flow()

    def resume_writing(self) -> None:
        self.writable = True
        self._release()
        self.pump()
        self._flow()

    # --- the engine's side ----------------------------------------------------------------------------------
    def _take(self, result: FeedResult, begun: float) -> None:
        out, rest, answers, loads, self._more = result
        if answers:
            self._hooks.observe(perf_counter() - begun, answers)
        if out:
            self.write(out)
        if rest:
            self.inbox += rest
            self._wake()
        if loads:
            self._hooks.loads()

    def pump(self) -> None:
        """Goes on with what the engine kept back, while there is room to write."""
        while self.writable and self._more:
            begun = perf_counter()
            self._take(self._engine.resume(wall_ms(), mono_ms()), begun)

    def landed(self) -> None:
        """A load ended: the engine may have kept answers back."""
        self._more = True
        self.pump()
        self._flow()

    def write(self, data: bytes) -> None:
        """Appends to the write buffer of a live connection; nothing when it is gone (the answers with it)."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def _flow(self) -> None:
        """Reading stops while answers cannot be written or nats-py is behind."""
        wanted = self.writable and not self._more and len(self.inbox) <= INBOX_LIMIT
        if self.transport is None or wanted == self._reading or self.transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    # --- nats-py's side -------------------------------------------------------------------------------------
    async def wait_more_than(self, seen: int) -> None:
        """Until the inbox holds more than ``seen`` bytes, or the end."""
        while len(self.inbox) <= seen and not self.eof:
            self._readable = asyncio.get_running_loop().create_future()
            await self._readable

    def take_inbox(self, size: int) -> bytes:
        """The first ``size`` bytes of the inbox, at the most."""
        data = bytes(self.inbox[:size])
        del self.inbox[:size]
        self._flow()
        return data

    async def drain(self) -> None:
        """Until the write buffer is below its low mark, or the connection is lost."""
        while not self.writable and not self.closed.done():
            if self._drained is None or self._drained.done():
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)
        if self.closed.done():
            raise ConnectionResetError("connection lost") from self.error

    def _wake(self) -> None:
        if self._readable is not None and not self._readable.done():
            self._readable.set_result(None)

    def _release(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)


class FastTransport(TcpTransport):
    """Set as ``client._transport`` before ``connect()``; lives through all reconnects of that client."""

    def __init__(self, engine: FastEngine, hooks: Hooks, write_limit: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._engine = engine
        self._hooks = hooks
        self._write_limit = write_limit
        self._wire: _Wire | None = None
        self._info: ServerInfo | None = None
        self._abort: asyncio.TimerHandle | None = None
        self._read_before = 0
        self.in_use = False
        """nats-py reads through us: the fast path works."""

    def __bool__(self) -> bool:
        # nats-py puts its own transport in the place of one that is false.
        return True

    # --- connecting -----------------------------------------------------------------------------------------
    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Opens a TCP connection; the scanner starts anew with it."""
        self._begin()
        host, port = uri.hostname, uri.port
        if host is None or port is None:
            raise OSError(f"no host and port in the server URL of {self!r}")
        async with asyncio.timeout(connect_timeout):
            await asyncio.get_running_loop().create_connection(self._new_wire, host, port)

    async def connect_tls(
        self,
        uri: str | ParseResult,
        ssl_context: ssl.SSLContext,
        buffer_size: int,
        connect_timeout: int,
    ) -> None:
        """Upgrades the connection to TLS; the new transport has its own reader, so flow control works."""
        plain = self._connected()
        assert plain.transport is not None
        hostname = uri if isinstance(uri, str) else uri.hostname
        wire = self._new_wire()
        async with asyncio.timeout(connect_timeout):
            transport = await asyncio.get_running_loop().start_tls(
                plain.transport, wire, ssl_context, server_hostname=hostname
            )
        if transport is None:
            raise ConnectionResetError("connection lost during the TLS handshake")
        if wire.transport is None:
            wire.connection_made(transport)

    def _begin(self) -> None:
        if self._abort is not None:
            self._abort.cancel()
            self._abort = None
        if self._wire is not None:
            self._read_before += self._wire.bytes_read
            self._wire = None
        self._engine.link_down()
        self._engine.reset_scanner()
        self._info = None
        self.in_use = False

    def _new_wire(self) -> _Wire:
        self._wire = _Wire(self._engine, self._hooks, self._write_limit)
        return self._wire

    def _connected(self) -> _Wire:
        if self._wire is None:
            raise ConnectionResetError("not connected")
        return self._wire

    # --- reading --------------------------------------------------------------------------------------------
    async def readline(self) -> bytes:
        """One line of the handshake: INFO, then PONG or -ERR."""
        wire = self._connected()
        while (end := wire.inbox.find(b"\n")) < 0:
            if wire.eof:
                return wire.take_inbox(len(wire.inbox))
            await wire.wait_more_than(len(wire.inbox))
        line = wire.take_inbox(end + 1)
        if line.startswith(b"INFO "):
            self._info = ServerInfo.parse(line)
        return line

    async def read(self, buffer_size: int) -> bytes:
        """What arrived and is not the engine's; empty at the end of the connection."""
        wire = self._connected()
        if not self.in_use:
            self._go_live(wire)
        await wire.wait_more_than(0)
        if not wire.inbox and wire.error is not None:
            raise ConnectionResetError("connection lost") from wire.error
        return wire.take_inbox(max(buffer_size, len(wire.inbox)))

    def _go_live(self, wire: _Wire) -> None:
        """nats-py's read loop begins: the handshake is done, the SUBs that follow are not answered yet."""
        assert self._info is not None
        self.in_use = True
        held = self._engine.link_up(
            max_payload=self._info.max_payload,
            headers=self._info.headers,
            cluster=self._info.cluster,
            wall_ms=wall_ms(),
            mono_ms=mono_ms(),
        )
        if held:
            wire.write(held)

    def at_eof(self) -> bool:
        """Whether the connection has ended and all of it was read."""
        return self._wire is None or (self._wire.eof and not self._wire.inbox)

    # --- writing --------------------------------------------------------------------------------------------
    def write(self, payload: bytes) -> None:
        """Appends nats-py's own commands to the write buffer."""
        self._connected().write(payload)

    def writelines(self, payload: list[bytes]) -> None:
        """As ``write``."""
        self._connected().write(b"".join(payload))

    async def drain(self) -> None:
        """Until the write buffer is below its ceiling. Raises ConnectionResetError when it never will be."""
        await self._connected().drain()

    def write_answers(self, out: bytes) -> None:
        """The engine's answers to landed gets; what the engine kept back follows as there is room."""
        wire = self._connected()
        wire.write(out)
        wire.landed()

    # --- closing --------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Closes; aborts what is not sent after ``CLOSE_DEADLINE``."""
        self.in_use = False
        self._engine.link_down()
        wire = self._wire
        if wire is None or wire.transport is None or wire.closed.done():
            return
        wire.transport.close()
        self._abort = asyncio.get_running_loop().call_later(CLOSE_DEADLINE, wire.transport.abort)

    async def wait_closed(self) -> None:
        """Until the connection is closed."""
        if self._wire is not None and self._wire.transport is not None:
            await asyncio.shield(self._wire.closed)

    # --- liveness -------------------------------------------------------------------------------------------
    def progress(self) -> tuple[int, int]:
        """Bytes read so far and bytes not yet written: while either moves, the connection lives."""
        wire = self._wire
        if wire is None or wire.transport is None:
            return (self._read_before, 0)
        return (self._read_before + wire.bytes_read, wire.transport.get_write_buffer_size())
