"""nats-py's transport with the core in its read path (ARCHITECTURE.md, "The connection").

nats-py owns the connection: servers, authentication, TLS, reconnecting, subscriptions. It reads through a
``nats.aio.transport.Transport``; this one passes every chunk that arrives to the engine first, writes the
engine's answers, and lets nats-py read what is its own. No task runs and no object is made per get.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass
from urllib.parse import ParseResult

from nats.aio.transport import TcpTransport
from nats.errors import Error as NatsError

from kaa_epr.clock import mono_ms, wall_ms
from kaa_epr.engine.api import FastEngine
from kaa_epr.nats.protocol import Hooks, Wire


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What the engine needs of the server's INFO."""

    max_payload: int
    headers: bool
    cluster: bool

    @classmethod
    def parse(cls, line: bytes) -> ServerInfo:
        """Reads an INFO line. Raises nats.errors.Error: nats-py takes it as a failed attempt to connect."""
        try:
            info = json.loads(line.partition(b" ")[2])
            return cls(
                max_payload=int(info.get("max_payload", 1024 * 1024)),
                headers=bool(info.get("headers", False)),
                cluster=bool(info.get("cluster") or info.get("connect_urls")),
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise NatsError(f"nats: INFO cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Movement:
    """What has moved on a transport's connections since it was made. Bytes."""

    read: int = 0
    written: int = 0
    """On the connection that there is now."""
    waiting: int = 0
    """Written, and not acknowledged by the peer (over TLS counted with its framing)."""
    unsent: int = 0
    """Written, and not even taken by the kernel."""


class FastTransport(TcpTransport):
    """Set as ``client._transport`` before ``connect()``; lives through all reconnects of that client."""

    def __init__(self, engine: FastEngine, hooks: Hooks, write_limit: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._engine = engine
        self._hooks = hooks
        self._write_limit = write_limit
        self._wire: Wire | None = None
        self._info: ServerInfo | None = None
        self._read_before = 0
        self._retired = False
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
            raise OSError("no host and port in the URL of a NATS server")
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
        if plain.transport is None:
            raise ConnectionResetError("connection lost before the TLS handshake")
        # The ceiling is for what is not encrypted yet; below it the event loop's own small default is enough.
        plain.transport.set_write_buffer_limits()
        # Whatever came unencrypted behind INFO is nobody's.
        self._engine.reset_scanner()
        hostname = uri if isinstance(uri, str) else uri.hostname
        wire = self._new_wire(plain.transport)
        try:
            async with asyncio.timeout(connect_timeout):
                transport = await asyncio.get_running_loop().start_tls(
                    plain.transport, wire, ssl_context, server_hostname=hostname
                )
        except BaseException:
            plain.retire()
            raise
        if transport is None:
            raise ConnectionResetError("connection lost during the TLS handshake")
        if wire.transport is None:
            wire.connection_made(transport)

    def _begin(self) -> None:
        """Leaves whatever connection there was: after a failed attempt nats-py does not close it."""
        if self._retired:
            raise ConnectionResetError("this transport is not used any more")
        if self._wire is not None:
            self._read_before += self._wire.bytes_read
            self._wire.retire()
            self._wire = None
        self._engine.link_down()
        self._engine.reset_scanner()
        self._info = None
        self.in_use = False

    def _new_wire(self, below: asyncio.Transport | None = None) -> Wire:
        self._wire = Wire(self._engine, self._hooks, self._write_limit, below)
        return self._wire

    def _connected(self) -> Wire:
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
        if not self.in_use and not wire.eof and not self._retired:
            self._go_live(wire)
        await wire.wait_more_than(0)
        if not wire.inbox and wire.error is not None:
            raise ConnectionResetError("connection lost") from wire.error
        return wire.take_inbox(max(buffer_size, len(wire.inbox)))

    def _go_live(self, wire: Wire) -> None:
        """nats-py's read loop begins: the handshake is done, the SUBs that follow are not answered yet."""
        if self._info is None:
            raise ConnectionResetError("the server sent no INFO")
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
        wire.landed()

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
        """Closes; aborts what cannot be sent soon."""
        self.in_use = False
        if not self._retired:
            self._engine.link_down()
        if self._wire is not None:
            self._wire.close()

    async def wait_closed(self) -> None:
        """Until the connection is closed."""
        if self._wire is not None and self._wire.transport is not None:
            await asyncio.shield(self._wire.closed)

    def retire(self) -> None:
        """The client is given up: whatever it still does, the engine and the network hear no more of it."""
        self._retired = True
        self.in_use = False
        if self._wire is not None:
            self._wire.retire()

    # --- liveness -------------------------------------------------------------------------------------------
    def movement(self) -> Movement:
        """For liveness and metrics."""
        wire = self._wire
        if wire is None:
            return Movement(read=self._read_before)
        return Movement(self._read_before + wire.bytes_read, wire.written, wire.waiting, wire.unsent)
