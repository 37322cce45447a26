"""Noticing a connection that looks alive and is not.

With nats-py's defaults a half-open link goes unnoticed for minutes. Every ``interval`` we look whether
anything moved: bytes read, or unsent bytes becoming fewer. Any movement is life (a full write buffer that
drains is slow, not dead). When nothing moved a PING goes out; when nothing moved for one interval more, the
connection is left.
"""

from __future__ import annotations

import asyncio

from nats import errors as nats_errors

from kaa_epr.log import get_logger
from kaa_epr.wire import internals
from kaa_epr.wire.options import wait_or
from kaa_epr.wire.session import Session

_log = get_logger(__name__)


class Liveness:
    """Watches one session until it ends."""

    def __init__(self, session: Session, interval: float) -> None:
        self._session = session
        self._interval = interval
        self._ping: asyncio.Task[None] | None = None

    async def watch(self) -> None:
        """Returns when the session has ended, or is beyond nats-py's own help."""
        seen: object = None
        silent = 0
        while not await wait_or(self._session.ended, self._interval):
            client = self._session.client
            if internals.read_loop_ended(client):
                _log.error("nats read loop ended by itself, starting a new connection")
                return
            now = self._progress()
            silent = silent + 1 if now == seen and client.is_connected else 0
            seen = now
            if silent == 1:
                self._send_ping()
            elif silent > 1:
                silent = 0
                _log.warning("nats connection is dead, reconnecting", silent_seconds=2 * self._interval)
                await client.force_reconnect()

    def _progress(self) -> object:
        moved = self._session.fast.progress()
        if moved is not None:
            return moved
        client = self._session.client
        return (client.stats["in_msgs"], internals.pongs_received(client))

    def _send_ping(self) -> None:
        if self._ping is None or self._ping.done():
            self._ping = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        try:
            await self._session.client.flush(timeout=max(1, round(2 * self._interval)))
        except nats_errors.Error as error:
            _log.debug("no PONG", error=str(error))
