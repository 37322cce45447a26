"""A connection to publish on, for commands that are no service: it comes back by itself while it is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import nats.errors
from nats.aio.client import Client

from kaa_epr.config.nats import NatsSettings
from kaa_epr.errors import KaaEprError
from kaa_epr.log import Repeats, get_logger
from kaa_epr.nats import internals
from kaa_epr.nats.flushing import confirmed_flush
from kaa_epr.nats.options import connect_options
from kaa_epr.nats.outlet import SessionOutlet
from kaa_epr.nats.tolerant import TolerantClient

_log = get_logger(__name__)
_CLOSE_SECONDS: Final = 2.0


class NatsUnreachable(KaaEprError):
    """No server took the connection in time."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(seconds, reason)
        self.seconds = seconds
        self.reason = reason

    def message(self) -> str:
        """How long it was tried, and what came of it."""
        return f"no connection to NATS within {self.seconds:g} s: {self.reason}"


@asynccontextmanager
async def publishing(settings: NatsSettings, name: str, seconds: float) -> AsyncIterator[SessionOutlet]:
    """An outlet on a connection of its own, made within ``seconds``.

    Raises ``NatsUnreachable``, or OSError for unreadable certificates. What was written before the end has
    been taken by the server, unless the connection is lost by then.
    """
    client, outlet, repeats = TolerantClient(), SessionOutlet(), Repeats()
    last: list[Exception] = []

    async def on_error(error: Exception) -> None:
        last[:] = [error]
        repeats.warning(_log, "nats error", error=str(error), kind=type(error).__name__)

    try:
        try:
            async with asyncio.timeout(seconds):
                await client.connect(**connect_options(settings, name), error_cb=on_error)
                await outlet.attach(client)
                await confirmed_flush(client)
        except (TimeoutError, nats.errors.Error) as error:
            raise NatsUnreachable(seconds, str(last[0] if last else error)) from error
        yield outlet
        if outlet.up:
            await confirmed_flush(client)
    finally:
        outlet.detach()
        await _close(client)


async def _close(client: Client) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await internals.close(client)
    except TimeoutError:
        _log.warning("nats connection did not close in time")
