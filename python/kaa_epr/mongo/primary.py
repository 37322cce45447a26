"""Tells of a new primary: what was read from the old one must be dropped (coherence rule 3).

Heartbeats are what the driver itself learns of primaries from. Its own events of a changed topology say the
same, but wait in a queue for up to a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bson import ObjectId
from pymongo.monitoring import (
    ServerHeartbeatFailedEvent,
    ServerHeartbeatListener,
    ServerHeartbeatStartedEvent,
    ServerHeartbeatSucceededEvent,
)


class PrimaryWatch(ServerHeartbeatListener):
    """Calls back on the loop's thread when a member reports a later election than the last one seen.

    A member that steps down and is elected again counts; the first primary seen does not; an old primary that
    has not noticed has an earlier election. Motor reports from threads of its own, PyMongo's asynchronous
    client from the loop's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._latest: ObjectId | None = None
        self._callback: Callable[[], None] | None = None

    def on_change(self, callback: Callable[[], None]) -> None:
        """Sets what is called."""
        self._callback = callback

    def started(self, event: ServerHeartbeatStartedEvent) -> None:
        """Says nothing."""

    def succeeded(self, event: ServerHeartbeatSucceededEvent) -> None:
        """Compares what a member says of itself with what was known; before the driver acts on it."""
        if event.reply.is_writable and event.reply.election_id is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._elected, event.reply.election_id)

    def failed(self, event: ServerHeartbeatFailedEvent) -> None:
        """An absent primary is no new one."""

    def _elected(self, election: ObjectId) -> None:
        known, self._latest = self._latest, max(election, self._latest or election)
        if known is not None and election > known and self._callback is not None:
            self._callback()
