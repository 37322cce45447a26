"""The bytes of one nats-py client, whichever transport it has: the core's, nats-py's socket or WebSocket."""

from __future__ import annotations

import asyncio

from nats.aio.client import Client

from kaa_epr.clock import mono_ms, wall_ms
from kaa_epr.engine.api import Engine
from kaa_epr.log import get_logger
from kaa_epr.nats import internals
from kaa_epr.nats.fast import FastPath, is_fast
from kaa_epr.nats.protocol import Hooks
from kaa_epr.nats.transport import FastTransport
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)


class Traffic:
    """Writes answers behind nats-py's own commands, and counts what has moved."""

    def __init__(
        self, client: Client, engine: Engine, hooks: Hooks, fast: FastPath, supervisor: Supervisor
    ) -> None:
        self._client = client
        self._engine = engine
        self._hooks = hooks
        self._fast = fast
        self._drains = supervisor.passing("link_drain")
        self._draining: asyncio.Task[None] | None = None

    def write(self, out: bytes) -> None:
        """The engine's answers to landed gets; what it kept back follows as there is room."""
        transport = internals.transport_of(self._client)
        if isinstance(transport, FastTransport):
            transport.write_answers(out)
            return
        if out:
            transport.write(out)
        # Even without: what the engine kept back may have waited for this connection.
        if self._draining is None or self._draining.done():
            self._draining = self._drains.run(self._drain())

    async def _drain(self) -> None:
        try:
            # nats-py's WebSocket transport sends nothing before it is drained.
            await self.drain()
            while self._resumed():
                await self.drain()
        except OSError as error:
            _log.debug("answers not sent", error=str(error))

    def _resumed(self) -> bool:
        """Writes the next of what was kept back; false where nothing is left of it."""
        if not is_fast(self._engine):
            return False
        out, _, _, loads, _ = self._engine.resume(wall_ms(), mono_ms())
        if out:
            internals.transport_of(self._client).write(out)
        if loads:
            self._hooks.loads()
        return bool(out)

    async def write_drained(self, out: bytes) -> None:
        """As ``write``; waits while the connection has too much unsent, and with it nats-py's callback."""
        self.write(out)
        await self.drain()

    async def drain(self) -> None:
        """Until the transport's buffer is below its ceiling (and, on WebSocket, is sent at all)."""
        await internals.drain(self._client)

    def abort(self) -> None:
        """Drops what nats-py's socket has not sent; the core's transport leaves its connection by itself."""
        transport = internals.socket_transport(self._client)
        if not self._fast.in_use and transport is not None:
            transport.abort()

    def stop(self) -> None:
        """Nobody waits any more for what is unsent."""
        if self._draining is not None:
            self._draining.cancel()

    @property
    def bytes_read(self) -> int:
        """From the server, since the client was made (on the callback path: payloads only)."""
        moved = self._fast.movement()
        return self._client.stats["in_bytes"] if moved is None else moved.read

    @property
    def unsent(self) -> int:
        """Bytes in the write buffer."""
        moved = self._fast.movement()
        if moved is not None:
            return moved.unsent
        transport = internals.socket_transport(self._client)
        return 0 if transport is None else transport.get_write_buffer_size()
