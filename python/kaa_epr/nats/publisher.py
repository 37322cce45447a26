"""Publishes batches of events: numbered, in order, and done only when the NATS server has taken them.

What is written lies on one connection: the events, then an echo to an inbox of our own. The server handles a
connection's bytes in their order, so the echo shows that it has taken the events before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from kaa_epr.errors import KaaEprError
from kaa_epr.messages.outgoing import OutgoingEvent
from kaa_epr.slices import Slice

CHUNK: Final = 64 * 1024
"""Bytes written at once; between two chunks the connection may push back, and others have the loop."""


class PublishFailed(KaaEprError):
    """The server may or may not have taken the events; they are still in their outboxes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def message(self) -> str:
        """Why."""
        return f"events were not taken by the NATS server: {self.reason}"


class Outlet(Protocol):
    """A NATS connection, or the want of one."""

    @property
    def headers(self) -> bool:
        """Whether the server takes headers. Raises ``PublishFailed`` without a connection."""

    def write(self, frames: bytes) -> None:
        """Appends protocol frames to the connection. Raises ``PublishFailed`` when there is none."""

    async def drain(self) -> None:
        """Until there is room to write. Raises ``PublishFailed`` when the connection is lost."""

    async def echo(self, frames: bytes = b"") -> None:
        """Writes ``frames``; until the server has handled them and all before. Raises ``PublishFailed``."""


class Numbers(Protocol):
    """Numbers the events of this writer (coherence rule 5)."""

    def next_headers(self, version: int, base: int | None = None) -> Mapping[str, str]:
        """The headers of the next event, which takes its endpoint from ``base`` to ``version``."""


class Publisher:
    """Publishes for one instance."""

    def __init__(self, instance: str, outlet: Outlet, numbers: Numbers) -> None:
        self._instance = instance
        self._outlet = outlet
        self._numbers = numbers

    async def publish(self, events: Sequence[OutgoingEvent], seconds: float) -> None:
        """Returns when the server has taken all of ``events``.

        Raises ``PublishFailed``; writes nothing once ``seconds`` are over, which the claim on the events
        outlives: whoever takes over must not be overtaken by us.
        """
        if seconds <= 0:
            raise PublishFailed("the store took so long that the claim may be gone")
        try:
            async with asyncio.timeout(seconds):
                await self._publish(events)
        except TimeoutError:
            raise PublishFailed("the connection takes no more") from None

    async def _publish(self, events: Sequence[OutgoingEvent]) -> None:
        if not events:
            return
        # Asked first: a number taken and not published empties the caches of all responders.
        headers = self._outlet.headers
        pending = bytearray()
        work = Slice()
        for event in events:
            # Numbered and appended in one go: numbers lie on the wire in their order.
            pending += self._frame(event, with_headers=headers)
            if len(pending) >= CHUNK:
                self._outlet.write(bytes(pending))
                pending.clear()
                await self._outlet.drain()
                await work.give_way()
        await self._outlet.echo(bytes(pending))

    def _frame(self, event: OutgoingEvent, *, with_headers: bool) -> bytes:
        subject = event.subject(self._instance)
        if not with_headers:
            return publication(subject, event.payload)
        headers = self._numbers.next_headers(event.version, event.base)
        return publication(subject, event.payload, headers)


def publication(subject: str, payload: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A PUB frame, or an HPUB frame where there are headers."""
    if not headers:
        return b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(payload), payload)
    block = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"NATS/1.0\r\n{block}\r\n".encode()
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (
        subject.encode(),
        len(head),
        len(head) + len(payload),
        head,
        payload,
    )
