"""Taking requests while the session is replaced (SIGHUP), so that none is lost in between.

A second client with the new certificates and credentials joins the queue group before the old session leaves
it. It hears no events and its order relative to them is unknown, so each of its gets makes a load of its own;
the answers go out on whichever session the engine has, or are held until there is one.
"""

from __future__ import annotations

import asyncio
from typing import Self

from nats import errors as nats_errors
from nats.aio.subscription import Subscription

from kaa_epr.config.nats import NatsSettings
from kaa_epr.engine.api import Engine
from kaa_epr.log import get_logger
from kaa_epr.nats import internals
from kaa_epr.nats.callbacks import Callbacks, Write
from kaa_epr.nats.flushing import confirmed_flush, stop_subscriptions
from kaa_epr.nats.options import connect_options
from kaa_epr.nats.protocol import Hooks
from kaa_epr.nats.session import CLOSE_TIMEOUT
from kaa_epr.nats.subscriptions import Subjects
from kaa_epr.nats.tolerant import TolerantClient

_log = get_logger(__name__)


class Bridge:
    """``async with``: inside it, requests reach the engine through this client too."""

    def __init__(
        self,
        settings: NatsSettings,
        name: str,
        subjects: Subjects,
        engine: Engine,
        hooks: Hooks,
        write: Write,
    ) -> None:
        self._settings = settings
        self._name = name
        self._subjects = subjects
        self._callbacks = Callbacks(engine, write, hooks.loads, lambda: True)
        self.client = TolerantClient()
        self._requests: list[Subscription] = []

    async def __aenter__(self) -> Self:
        """Raises what nats-py raises (its errors, OSError, those of nkeys) when settings do not connect."""
        options = connect_options(self._settings, self._name)
        # A refusal must come back at once: the old session goes on.
        options |= {"allow_reconnect": False, "max_reconnect_attempts": 1, "error_cb": self._on_error}
        try:
            await self.client.connect(**options)
            for subject, kind in self._subjects.requests.items():
                self._requests.append(
                    await self.client.subscribe(
                        subject, self._subjects.queue_group, cb=self._callbacks.request(kind)
                    )
                )
            await confirmed_flush(self.client)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        try:
            if self.client.is_connected:
                await stop_subscriptions(self.client, self._requests)
        except (nats_errors.Error, OSError) as error:
            _log.warning("nats connection lost while reloading", error=str(error))
        finally:
            await self._close()

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await internals.close(self.client)
        except TimeoutError:
            # A connection that takes nothing any more.
            if (transport := internals.socket_transport(self.client)) is not None:
                transport.abort()

    async def _on_error(self, error: Exception) -> None:
        _log.warning("nats error while reloading", error=str(error), kind=type(error).__name__)
