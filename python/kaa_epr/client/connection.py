"""The NATS connection behind a client: lent by the caller, or made, and made again, by ourselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from kaa_epr.client.errors import ClientClosed, ConnectionFailed

_LOG: Final = logging.getLogger(__name__)

CLOSE_TIMEOUT: Final = 2.0
"""Seconds; closing a half-open link would otherwise wait for bytes that nobody takes."""
PENDING_BYTES: Final = 64 * 1024 * 1024
"""Answers that wait for our callback, in bytes; what exceeds it is dropped by nats-py and asked for again."""

_OWN_DEFAULTS: Final[Mapping[str, Any]] = {
    "max_reconnect_attempts": -1,  # as long as the client is open
    "reconnect_time_wait": 0.25,
    "connect_timeout": 2,
    "ping_interval": 5,  # a half-open link is noticed within about 15 s
}


@dataclass(frozen=True, slots=True)
class Handlers:
    """What the connection reports."""

    message: Callable[[Msg], Awaitable[None]]
    link_lost: Callable[[], None]
    """After a reconnect, or when the connection has closed. Only for connections of our own."""


class Connection:
    """Gives a connected NATS client that is subscribed to our replica's subject."""

    def __init__(
        self,
        source: NatsClient | Sequence[str],
        subject: str,
        handlers: Handlers,
        *,
        connect: Mapping[str, Any],
        pending: int,
    ) -> None:
        """``source``: a connection to borrow, or servers; ``pending``: messages that may wait for us."""
        self._lent = source if isinstance(source, NatsClient) else None
        self._servers = [] if isinstance(source, NatsClient) else list(source)
        self._subject = subject
        self._handlers = handlers
        self._connect = connect
        self._pending = pending
        self._nc: NatsClient | None = None
        self._subscription: Subscription | None = None
        self._opening = asyncio.Lock()
        self._closed = False
        self._last_error: Exception | None = None

    async def ready(self, deadline: float) -> NatsClient:
        """The subscribed client, by ``deadline`` of the loop's clock; it may be reconnecting just now.

        Raises ``ConnectionFailed``, or ``ClientClosed`` when we or the lent connection are closed.
        """
        if self._nc is not None and not self._nc.is_closed:
            return self._nc
        try:
            async with asyncio.timeout_at(deadline), self._opening:
                return await self._open()
        except TimeoutError:
            raise ConnectionFailed(str(self._last_error or "no server answered in time")) from None

    async def _open(self) -> NatsClient:
        self._check_open()
        if self._nc is not None and not self._nc.is_closed:  # another get opened it meanwhile
            return self._nc
        nc = await self._borrow() if self._lent is not None else await self._make()
        self._nc = nc
        if self._closed:  # meanwhile
            await self.close()
            self._check_open()
        return nc

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed("the client")

    async def _borrow(self) -> NatsClient:
        assert self._lent is not None
        usable = self._lent.is_connected or self._lent.is_reconnecting
        if not usable or self._lent.is_draining:
            raise ClientClosed("the NATS connection")
        await self._subscribe(self._lent)
        return self._lent

    async def _make(self) -> NatsClient:
        nc = NatsClient()
        self._last_error = None
        try:
            await nc.connect(
                servers=self._servers,
                **{**_OWN_DEFAULTS, "name": f"kaa-epr client {self._subject}", **self._connect},
                error_cb=self._on_error,
                reconnected_cb=self._on_reconnected,
                closed_cb=self._on_closed,
            )
            await self._subscribe(nc)
        except (nats.errors.Error, OSError) as error:
            await _close(nc)
            raise ConnectionFailed(str(error)) from error
        except BaseException:  # cancelled, or an argument of `connect` is wrong
            await _close(nc)
            raise
        return nc

    async def _subscribe(self, nc: NatsClient) -> None:
        self._subscription = await nc.subscribe(
            self._subject,
            cb=self._handlers.message,
            pending_msgs_limit=self._pending,
            pending_bytes_limit=PENDING_BYTES,
        )

    def refusal(self) -> str | None:
        """What the server last refused on this connection, if it refused anything: then answers stay away."""
        error = self._nc.last_error if self._nc is not None else None
        text = str(error) if error is not None else ""
        return text if "permissions violation" in text.lower() else None

    async def close(self) -> None:
        """Ends what is ours: the connection, or only the subscription on a lent one."""
        self._closed = True
        nc, self._nc = self._nc, None
        if nc is None or nc.is_closed:
            return
        if nc is not self._lent:
            await _close(nc)
        elif self._subscription is not None and not nc.is_draining:
            await self._subscription.unsubscribe()

    async def _on_error(self, error: Exception) -> None:
        """Called again and again while no server takes us: only what is new is logged.

        What a server says (refused credentials) tells more than that it hung up afterwards.
        """
        last = self._last_error
        if isinstance(last, nats.errors.Error) and isinstance(error, OSError):
            return
        self._last_error = error
        if str(last) != str(error):
            _LOG.warning("NATS connection of the EPMMP client: %s", error)

    async def _on_reconnected(self) -> None:
        self._handlers.link_lost()

    async def _on_closed(self) -> None:
        if not self._closed:
            _LOG.warning("NATS closed the connection of the EPMMP client; the next attempt makes a new one")
            self._handlers.link_lost()


async def _close(nc: NatsClient) -> None:
    """Closes a connection of our own within ``CLOSE_TIMEOUT``."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await nc.close()
    except TimeoutError:
        _LOG.warning("NATS connection of the EPMMP client did not close within %g s", CLOSE_TIMEOUT)
