"""Events of the soak's writers: numbered with heartbeats as a register's, or bare as a stock service's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import nats.errors

from bench.soak.endpoints import Endpoint
from bench.soak.line import Line, LineLost
from kaa_epr.messages import subjects
from kaa_epr.nats.publisher import publication
from kaa_epr.nats.writer import Heartbeats, WriterNumbers

BURDEN_BYTES: Final = 64 * 1024
Change = tuple[Endpoint, int]
"""An endpoint and its version after the change."""


class Publisher:
    """Publishes on one connection; says an event again, with a new number, until a server has taken it."""

    def __init__(self, servers: Sequence[str], originator: str, *, numbered: bool) -> None:
        self._subject = subjects.metadata_updated(originator)
        self._heartbeat = subjects.heartbeat(originator)
        self._line = Line(servers)
        self._numbers = WriterNumbers(originator) if numbered else None
        self._beats = Heartbeats(self._numbers, self._beat) if self._numbers else None
        self.muted = False
        """Nothing goes out, heartbeats included: a fault."""
        self.lose = 0
        """So many events more take their number and do not go out: a fault."""

    async def open(self) -> None:
        """Connects; a numbered writer introduces itself."""
        await self._line.open()
        if self._beats is not None:
            await self._beats.start()

    async def close(self) -> None:
        """Says goodbye."""
        if self._beats is not None:
            await self._beats.stop()
        await self._line.close()

    async def tell(self, changes: Sequence[Change]) -> None:
        """Returns when a server has taken the events of all changes, but those that a fault takes away."""
        while True:
            self._line.write(b"".join(self._event(*change) for change in changes))
            if self.muted:
                return
            try:
                await self._line.confirmed()
            except LineLost:
                await self._line.reconnected()
            else:
                return

    def publish(self, payload: bytes) -> None:
        """Any bytes on the subject of the events."""
        self._line.write(publication(self._subject, payload, None))

    def burden(self, count: int) -> None:
        """Large messages on a subject that replicas hear: heartbeats with a payload, which they ignore."""
        self._line.write(publication(self._heartbeat, b"x" * BURDEN_BYTES, None) * count)

    def _event(self, endpoint: Endpoint, version: int) -> bytes:
        headers = None if self._numbers is None else self._numbers.next_headers(version)
        if self.lose:
            self.lose -= 1
            return b""
        return b"" if self.muted else publication(self._subject, endpoint.event, headers)

    async def _beat(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        if self.muted:
            return
        if not self._line.up:
            raise nats.errors.ConnectionClosedError
        self._line.write(publication(subject, payload, headers))
