"""Noticing a connection that looks alive and is not.

With nats-py's defaults a half-open link goes unnoticed for minutes. Every ``interval`` we look whether
anything moved: bytes read, or, while bytes waited to be acknowledged, bytes that were (a full write buffer
that drains is slow, not dead; when nothing waited, it is our PING that the peer's kernel acknowledges,
whether or not anybody reads it). When nothing moved a PING goes out; when nothing moved for one interval
more, the connection is left.
"""

from __future__ import annotations

from dataclasses import dataclass

from kaa_epr.log import get_logger
from kaa_epr.nats import internals
from kaa_epr.nats.options import wait_or
from kaa_epr.nats.protocol import kernel_unsent
from kaa_epr.nats.session import Session

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Look:
    """What could be seen at one moment."""

    read: int
    sent: int
    """Acknowledged by the peer."""
    waiting: int


class Liveness:
    """Watches one session until it ends."""

    def __init__(self, session: Session, interval: float) -> None:
        self._session = session
        self._interval = interval
        self._last = _Look(-1, 0, 0)

    async def watch(self) -> None:
        """Returns when the session has ended, or is beyond nats-py's own help."""
        session, silent = self._session, 0
        while not await wait_or(session.ended, self._interval):
            if (reason := internals.dead(session.client)) is not None:
                _log.error("nats client is dead, starting a new connection", reason=reason)
                return
            silent = 0 if self._moved() or not session.client.is_connected else silent + 1
            if silent == 1:
                session.ping()
            elif silent > 1:
                silent = 0
                _log.warning("nats connection is dead, reconnecting", silent_seconds=2 * self._interval)
                await session.leave_dead()

    def _moved(self) -> bool:
        last, now = self._last, self._look()
        if now.read != last.read:
            self._last = now
            return True
        self._last = _Look(now.read, max(now.sent, last.sent), now.waiting)
        return last.waiting > 0 and now.sent > last.sent

    def _look(self) -> _Look:
        moved = self._session.fast.movement()
        if moved is not None:
            return _Look(moved.read, moved.written - moved.waiting, moved.waiting)
        client = self._session.client
        read = client.stats["in_msgs"] + internals.pongs_received(client)
        transport = internals.socket_transport(client)
        if transport is None:
            return _Look(read, 0, 0)
        # What was written in all is not known here: what waits becomes less when more is taken than written.
        waiting = transport.get_write_buffer_size() + kernel_unsent(transport)
        return _Look(read, -waiting, waiting)
