"""One connection's bytes, both ways: chunks in to the engine, its answers out, under flow control.

Bounds: answers are made only while the write buffer is below ``write_limit``, so it holds that and one feed's
output, or the held answers of a reconnect; over TLS twice that, since uvloop keeps as much encrypted below.
Reading stops above it and while nats-py has more than ``INBOX_LIMIT`` bytes unread. The event loop may still
deliver what it had received before (one buffer).
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns, perf_counter
from typing import cast

from kaa_epr.clock import mono_ms, wall_ms
from kaa_epr.engine.api import FastEngine, FeedResult

INBOX_LIMIT = 4 * 1024 * 1024
"""Bytes that nats-py has not read yet above which reading from the socket stops."""

CLOSE_DEADLINE = 0.5
"""Seconds a closing connection may take to send what is left; then it is aborted: a half-open one hangs."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the transport tells the service; called on the loop's thread, must be cheap."""

    loads: Callable[[], None]
    """Flights are queued: kick the loader."""
    observe: Callable[[float, int], None]
    """A feed took this many seconds and made this many answers."""


def kernel_unsent(transport: asyncio.BaseTransport) -> int:
    """Bytes the kernel has taken from us and the peer has not acknowledged; 0 where it does not tell."""
    socket = transport.get_extra_info("socket")
    if socket is None or socket.fileno() < 0:
        return 0
    try:
        told = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:  # not a socket of that kind: the transport's own buffer has to do
        return 0
    return int(struct.unpack("i", told)[0])


class Wire(asyncio.BaseProtocol):
    """One connection, from before it is made until after it is lost.

    An ``asyncio.Protocol`` but for ``data_received``, which is the reader's own.
    """

    def __init__(
        self,
        engine: FastEngine,
        hooks: Hooks,
        write_limit: int,
        below: asyncio.Transport | None = None,
    ) -> None:
        """``below``: the plain transport under a TLS one, which has a write buffer of its own."""
        self._below = below
        self._engine = engine
        self._reader = engine.reader(self._took, monotonic_ns())
        # Flow 1, for every get in the chunk at once: the event loop's call does not pass through Python.
        self.data_received: Callable[[bytes], None] = self._reader.feed
        self._hooks = hooks
        self._write_limit = write_limit
        self.transport: asyncio.Transport | None = None
        self.inbox = bytearray()
        self.eof = False
        self.error: Exception | None = None
        self.writable = True
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._bytes_written = 0
        self._retired = False
        self._more = False
        self._reading = True
        self._readable: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    # --- the event loop's calls -----------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sets the ceiling of the write buffer."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=self._write_limit)

    def eof_received(self) -> bool:
        """The server said goodbye; the event loop closes the connection."""
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The end; wakes everybody who waits."""
        self.error = exc
        self.writable = False
        if self._deadline is not None:
            self._deadline.cancel()
        self._end()
        self._release()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """The write buffer is above its ceiling: nothing more is read."""
        self.writable = False
        self._flow()

    def resume_writing(self) -> None:
        """There is room again: first for what the engine kept back."""
        self.writable = True
        self._release()
        self._pump()
        self._flow()

    # --- the engine's side ----------------------------------------------------------------------------------
    def _took(self, result: FeedResult, seconds: float) -> None:
        """Something came of a chunk that arrived."""
        self._take(result, seconds)
        if self._more:
            self._pump()
        if self._more or len(self.inbox) > INBOX_LIMIT:
            self._flow()

    def _take(self, result: FeedResult, seconds: float) -> None:
        out, rest, answers, loads, self._more = result
        if answers:
            self._hooks.observe(seconds, answers)
        if out:
            self.write(out)
        if rest:
            self.inbox += rest
            self._wake()
        if loads:
            self._hooks.loads()

    def _pump(self) -> None:
        """Goes on with what the engine kept back, while there is room to write."""
        while self.writable and self._more and not self._retired:
            begun = perf_counter()
            result = self._engine.resume(wall_ms(), mono_ms())
            self._take(result, perf_counter() - begun)

    def landed(self) -> None:
        """A load ended: the engine may have kept answers back."""
        self._more = True
        self._pump()
        self._flow()

    def write(self, data: bytes) -> None:
        """Appends to the write buffer of a live connection; nothing when it is gone (the answers with it)."""
        if self.transport is not None and not self.transport.is_closing():
            self._bytes_written += len(data)
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
        """Until the write buffer is below its low mark. Raises ConnectionResetError when it never will be."""
        while not self.writable and not self.closed.done():
            if self._drained is None or self._drained.done():
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)
        if self.closed.done():
            raise ConnectionResetError("connection lost") from self.error

    # --- end ------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Sends what is left, for ``CLOSE_DEADLINE`` at the most."""
        if self.transport is None or self.closed.done() or self._deadline is not None:
            return
        self._deadline = asyncio.get_running_loop().call_later(CLOSE_DEADLINE, self.transport.abort)
        self.transport.close()

    def retire(self) -> None:
        """Nobody wants this connection any more: it must neither reach the engine nor stay open."""
        self._retired = True
        self._reader.close()
        if self.transport is not None and not self.closed.done():
            self.transport.abort()

    # --- liveness -------------------------------------------------------------------------------------------
    @property
    def bytes_read(self) -> int:
        """Bytes that arrived."""
        return self._reader.bytes_read

    @property
    def unsent(self) -> int:
        """Bytes in the write buffer: the kernel has not taken them."""
        return sum(one.get_write_buffer_size() for one in (self.transport, self._below) if one is not None)

    @property
    def waiting(self) -> int:
        """Bytes that the peer has not acknowledged, in the write buffer or with the kernel."""
        return self.unsent + (0 if self.transport is None else kernel_unsent(self.transport))

    @property
    def written(self) -> int:
        """Bytes written since the connection began."""
        return self._bytes_written

    def _end(self) -> None:
        self.eof = True
        if not self._retired:
            # At once, not when nats-py comes to it: answers from now on are held for the next connection.
            self._engine.link_down()
        self._wake()

    def _wake(self) -> None:
        if self._readable is not None and not self._readable.done():
            self._readable.set_result(None)

    def _release(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
