"""Messages one at a time, from nats-py's subscription callbacks.

This is the whole service where the fast path cannot work (another nats-py, WebSocket, no extension), and the
path of the few messages that nats-py parses itself although the fast path is on (one that arrives between
SUB and ``bind``, or that is larger than the core takes).

nats-py runs one task per subscription and so breaks wire order between them: a get may use the cache only
while no event subscription has anything pending (coherence rule 1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from nats.aio.msg import Msg

from kaa_epr.clock import mono_ms, wall_ms
from kaa_epr.engine.api import Engine, Kind

Write = Callable[[bytes], Awaitable[None]]


def header_block(headers: Mapping[str, str] | None) -> bytes:
    """The raw NATS header block that nats-py has parsed; empty without headers."""
    if not headers:
        return b""
    lines = [f"{name}: {value}".encode() for name, value in headers.items()]
    return b"\r\n".join([b"NATS/1.0", *lines, b"", b""])


class Callbacks:
    """Hands messages to the engine and its answers to the connection."""

    def __init__(
        self, engine: Engine, write: Write, loads: Callable[[], None], unread_events: Callable[[], bool]
    ) -> None:
        """``unread_events``: whether events may have arrived that no callback has seen yet."""
        self._engine = engine
        self._write = write
        self._loads = loads
        self._unread_events = unread_events

    def request(self, kind: Kind) -> Callable[[Msg], Awaitable[None]]:
        """The callback of one request subscription."""

        async def handle(msg: Msg) -> None:
            loads = self._engine.get(
                msg.reply,
                header_block(msg.headers),
                msg.data,
                kind=kind,
                fresh=self._unread_events(),
                wall_ms=wall_ms(),
                mono_ms=mono_ms(),
            )
            if out := self._engine.take_output():
                await self._write(out)
            if loads:
                self._loads()

        return handle

    def event(self, kind: Kind) -> Callable[[Msg], Awaitable[None]]:
        """The callback of one event subscription."""

        async def handle(msg: Msg) -> None:
            if kind is Kind.HEARTBEAT and self._unread_events():
                # Its number would be judged before events that came before it: holes that are none. The next
                # heartbeat, or the events themselves, tell the same.
                return
            self._engine.event(kind, header_block(msg.headers), msg.data, mono_ms())

        return handle
