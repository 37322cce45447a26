"""What the connections of one server have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaa_epr.http.asgi import App, Headers

if TYPE_CHECKING:
    from kaa_epr.http.connection import Connection


@dataclass(frozen=True, slots=True)
class Limits:
    """Of each connection, and how many there may be."""

    max_connections: int
    """At once; a further one is closed unanswered."""
    max_head_bytes: int
    """Request line and headers; more is answered 431."""
    request_seconds: float
    """From a request's first byte, or the end of the answer before it, to the end of its answer."""


@dataclass(slots=True)
class Shared:
    """What the connections of a server have in common."""

    app: App
    limits: Limits
    on_refused: Callable[[], None]
    """Called for each connection too many."""
    error_headers: Callable[[], Headers]
    """Headers of the answers that the server itself gives."""
    loop: asyncio.AbstractEventLoop
    connections: set[Connection] = field(default_factory=set)
    """Those in a TLS handshake too, and those that were lost while something is under way for them."""
    stopping: bool = False
    _gone: asyncio.Future[None] | None = None

    async def gone(self) -> None:
        """Until there is no connection, and nothing under way of one that was lost."""
        while self.connections:
            self._gone = self.loop.create_future()
            await self._gone

    def forget(self, connection: Connection) -> None:
        """It has gone."""
        self.connections.discard(connection)
        if not self.connections and self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
