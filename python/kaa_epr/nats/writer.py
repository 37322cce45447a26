"""The publisher's side of gap signals (coherence rule 5): numbers on events, heartbeats, a goodbye.

``schemas/coherence/README.md`` has the protocol. ``WriterNumbers`` makes the headers and knows no I/O;
``Heartbeats`` sends them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import nats.errors

from kaa_epr.log import Repeats, get_logger
from kaa_epr.messages import subjects
from kaa_epr.metrics import Buckets, CountedStats
from kaa_epr.supervised import QUICK, Supervisor

WRITER: Final = "Kaa-Epr-Writer"
"""Who published: one ID per start of a process."""
SEQ: Final = "Kaa-Epr-Seq"
"""On an event its number, on a heartbeat the number of the last event, 0 before the first."""
VERSION: Final = "Kaa-Epr-Version"
"""On an event the endpoint's version after the change it tells of."""
BASE: Final = "Kaa-Epr-Base"
"""On a metadata updated event the version that its diff is exact against; absent when there is none."""
LEAVING: Final = "Kaa-Epr-Leaving"
"""On the last heartbeat of a writer that stops: ``1``."""

HEARTBEAT_SECONDS: Final = 0.5
"""Responders take a writer for silent after 1.5 s, so two heartbeats in a row may be lost."""
LATE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Buckets of how late heartbeats are. From 1 s on, responders have emptied their caches, or are about to."""

_log = get_logger(__name__)

Publish = Callable[[str, bytes, dict[str, str]], Awaitable[None]]
"""Publishes (subject, payload, headers) on the connection that the events go out on."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One message to publish; the payload is empty, so that servers and tools need no schema for it."""

    subject: str
    headers: Mapping[str, str]
    payload: bytes = b""


@dataclass(slots=True)
class WriterNumbers:
    """The numbers of one writer. A restarted process is another writer: nothing is kept on disk.

    ``next_headers`` must be called in the order in which the events are handed to the connection, each
    directly before its publish: a number taken and not published is a hole, which empties every responder's
    cache. That is right for an event that failed to go out, and wrong for one that was only overtaken.
    """

    originator: str
    writer: str = field(default_factory=lambda: secrets.token_hex(12))
    last: int = 0
    """The number of the last event, 0 before the first."""

    def next_headers(self, version: int, base: int | None = None) -> dict[str, str]:
        """The headers of the next event, which leaves its endpoint at ``version``.

        ``base``: the version that its diff is exact against, if there is one.
        """
        self.last += 1
        headers = {WRITER: self.writer, SEQ: str(self.last), VERSION: str(version)}
        if base is not None:
            headers[BASE] = str(base)
        return headers

    def heartbeat(self) -> Heartbeat:
        """What to publish before the first event, and then every ``HEARTBEAT_SECONDS``."""
        return Heartbeat(subjects.heartbeat(self.originator), {WRITER: self.writer, SEQ: str(self.last)})

    def goodbye(self) -> Heartbeat:
        """What to publish last: nobody needs to wait for this writer any more."""
        beat = self.heartbeat()
        return Heartbeat(beat.subject, {**beat.headers, LEAVING: "1"})


class Heartbeats:
    """Sends the heartbeats of one writer from ``start`` to ``stop``.

    A heartbeat that cannot be sent is left out: responders then see the silence they are meant to see, and
    the next one tells them how far the numbers went. Whatever else goes wrong, the next one comes in time.
    """

    def __init__(
        self, numbers: WriterNumbers, publish: Publish, supervisor: Supervisor | None = None
    ) -> None:
        self._numbers = numbers
        self._publish = publish
        self._work = (supervisor or Supervisor()).lasting("heartbeats", self._run, pauses=QUICK)
        self._repeats = Repeats()
        self._due = 0.0
        """When the next one is due, by the loop's clock."""
        self._begun = asyncio.Event()
        self._sent: float | None = None
        """When the last one went out; None before the first and after the goodbye."""
        self.failures = 0
        """Heartbeats that could not be sent."""
        self.lateness = Buckets(LATE_SECONDS)
        """Seconds that each came later than it was due: the loop was busy, or the one before met a bug."""

    def numbers(self) -> CountedStats:
        """For metrics."""
        sent = self._sent
        return {
            "heartbeat_late_seconds": self.lateness,
            "heartbeat_age_seconds": 0.0 if sent is None else asyncio.get_running_loop().time() - sent,
            "heartbeats_not_sent": self.failures,
        }

    async def start(self) -> None:
        """Sends the first heartbeat, so that responders know the writer before its first event."""
        self._due = asyncio.get_running_loop().time()
        self._work.start()
        await self._begun.wait()

    async def stop(self) -> None:
        """Says goodbye. Call it after the last event was published and before the connection is closed."""
        if self._work.running:
            await self._work.stop()
            await self._send(self._numbers.goodbye())
            self._sent = None

    def cease(self) -> None:
        """Falls silent without a goodbye, as a writer that was killed."""
        self._work.cancel()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(0.0, self._due - loop.time()))
            try:
                await self._beat()
            finally:
                self._begun.set()
            self._work.well()

    async def _beat(self) -> None:
        now = asyncio.get_running_loop().time()
        self.lateness.observe(max(0.0, now - self._due))
        # What was missed is not made up for: the next one tells as much. It is due while a bug keeps it back.
        await self._send(self._numbers.heartbeat())
        self._due = max(self._due, now - HEARTBEAT_SECONDS / 2) + HEARTBEAT_SECONDS

    async def _send(self, beat: Heartbeat) -> None:
        try:
            await self._publish(beat.subject, beat.payload, dict(beat.headers))
        except (nats.errors.Error, OSError) as error:
            self.failures += 1
            self._repeats.warning(
                _log, "a heartbeat could not be sent", reason=str(error), kind=type(error).__name__
            )
        else:
            self._sent = asyncio.get_running_loop().time()
