"""Listening to events for long: a connection of its own that comes back after any end, and knows its gaps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from nats import errors as nats_errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from kaa_epr.backoff import jittered
from kaa_epr.config.nats import NatsSettings
from kaa_epr.engine.api import Kind
from kaa_epr.log import Repeats, get_logger
from kaa_epr.nats import internals
from kaa_epr.nats.flushing import confirmed_flush
from kaa_epr.nats.options import connect_options, wait_or
from kaa_epr.nats.tolerant import TolerantClient
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

PENDING_MESSAGES: Final = 65_536
PENDING_BYTES: Final = 32 * 1024 * 1024
"""Bounds of what may wait for the callback, for each subject; what is beyond is dropped, and is a gap."""
_LOOK_SECONDS: Final = 1.0
"""How often it is looked whether nats-py still works on its connection."""
_CLOSE_SECONDS: Final = 2.0


class Ears(Protocol):
    """Who listens. Called on the loop; must be quick."""

    def heard(self, kind: Kind, headers: Mapping[str, str], payload: bytes) -> None:
        """An event."""

    def gap(self) -> None:
        """Events may have been missed."""


class Watch:
    """Subscribes to ``subjects`` and stays subscribed from ``work.start`` to ``work.stop``."""

    def __init__(
        self,
        settings: NatsSettings,
        name: str,
        subjects: Mapping[str, Kind],
        ears: Ears,
        supervisor: Supervisor,
    ) -> None:
        """Raises OSError or ssl.SSLError for unreadable certificates."""
        # A half-open link is left after three intervals.
        interval = max(1.0, settings.ping_interval)
        self._options = connect_options(settings, name) | {"ping_interval": interval}
        self._settings = settings
        self._subjects = subjects
        self._ears = ears
        self._repeats = Repeats()
        self._refused = False
        self._closed = asyncio.Event()
        self.hearing = asyncio.Event()
        """Set while every subscription is confirmed."""
        self.gaps = 0
        self.work = supervisor.lasting("watch", self._run)

    async def _run(self) -> None:
        """For ever: a connection, and after its end another one."""
        failures = 0
        while True:
            client = TolerantClient()
            self._closed = asyncio.Event()
            try:
                await self._open(client)
                failures = 0
                self.work.well()
                await self._until_dead(client)
            except (nats_errors.Error, OSError) as error:
                failures += 1
                self._repeats.warning(_log, "nats cannot be listened to", error=str(error))
            finally:
                self._deaf()
                await _close(client)
            wait = jittered(self._settings.reconnect_wait, self._settings.reconnect_wait_max, failures + 1)
            await asyncio.sleep(wait)

    async def _open(self, client: Client) -> None:
        async def confirm() -> None:
            await self._confirm(client)

        await client.connect(
            **self._options,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=confirm,
            closed_cb=self._on_closed,
        )
        for subject, kind in self._subjects.items():
            await client.subscribe(
                subject,
                cb=self._callback(kind),
                pending_msgs_limit=PENDING_MESSAGES,
                pending_bytes_limit=PENDING_BYTES,
            )
        await confirm()

    def _callback(self, kind: Kind) -> Callable[[Msg], Awaitable[None]]:
        async def heard(message: Msg) -> None:
            self._ears.heard(kind, message.headers or {}, message.data)

        return heard

    async def _confirm(self, client: Client) -> None:
        """The server has taken the subscriptions, or has refused some by now."""
        self._refused = False
        try:
            await confirmed_flush(client)
        except nats_errors.Error as error:
            self._repeats.warning(_log, "subscriptions are not confirmed", error=str(error))
            return
        if not self._refused:
            self.hearing.set()

    async def _until_dead(self, client: Client) -> None:
        while not await wait_or(self._closed, _LOOK_SECONDS):
            if (reason := internals.dead(client)) is not None:
                self._repeats.warning(_log, "nats connection given up", reason=reason)
                return
            if client.is_connected and not self.hearing.is_set() and not self._refused:
                await self._confirm(client)

    def _deaf(self) -> None:
        if self.hearing.is_set():
            self.hearing.clear()
            self._gap()

    def _gap(self) -> None:
        self.gaps += 1
        self._ears.gap()

    async def _on_error(self, error: Exception) -> None:
        facts: dict[str, Any] = {"error": str(error), "kind": type(error).__name__}
        if isinstance(error, nats_errors.SlowConsumerError):
            self._gap()
        elif "permissions violation for subscription" in str(error):
            self._refused = True
            self._deaf()
        self._repeats.warning(_log, "nats error", **facts)

    async def _on_disconnected(self) -> None:
        self._deaf()

    async def _on_closed(self) -> None:
        self._closed.set()


async def _close(client: Client) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await internals.close(client)
    except TimeoutError:
        _log.warning("nats connection did not close in time")
