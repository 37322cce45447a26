"""Tells of a new primary: what was read from the old one must be dropped (design section 3, rule 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from bson import ObjectId
from pymongo.monitoring import (
    TopologyClosedEvent,
    TopologyDescriptionChangedEvent,
    TopologyListener,
    TopologyOpenedEvent,
)
from pymongo.topology_description import TopologyDescription

_PRIMARY: Final = "RSPrimary"

Term = tuple[tuple[str, int | None], ObjectId | None]
"""Address and election: a member that steps down and is elected again has a new one."""


class PrimaryWatch(TopologyListener):
    """Calls back on the loop's thread when the primary is not the one seen last.

    The first primary seen is no change; nor is its absence, until another one is there. Motor reports from
    threads of its own, PyMongo's asynchronous client from the loop's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._last: Term | None = None
        self._callback: Callable[[], None] | None = None

    def on_change(self, callback: Callable[[], None]) -> None:
        """Sets what is called; None was called before."""
        self._callback = callback

    def opened(self, event: TopologyOpenedEvent) -> None:
        """Nothing is known yet."""

    def description_changed(self, event: TopologyDescriptionChangedEvent) -> None:
        """Compares the primary with the last one."""
        term = _primary(event.new_description)
        if term is None or term == self._last:
            return
        first, self._last = self._last is None, term
        if not first and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def closed(self, event: TopologyClosedEvent) -> None:
        """Our own doing."""

    def _tell(self) -> None:
        if self._callback is not None:
            self._callback()


def _primary(topology: TopologyDescription) -> Term | None:
    for server in topology.server_descriptions().values():
        if server.server_type_name == _PRIMARY:
            return server.address, server.election_id
    return None
