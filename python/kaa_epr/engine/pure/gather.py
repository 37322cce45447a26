"""Requests about several endpoints, of which some must be loaded: what was found so far.

Each endpoint that is missing waits as a get of its own (``park``), under the same rules as any other. The
request is answered when the last of them has landed, so every part of the answer was read after the request
came, but not all at one moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kaa_epr.engine.pure.limits import PART_BYTES, WAITER_BYTES
from kaa_epr.engine.pure.park import Waiter


class Gather:
    """A request with what was found of its distinct endpoints, in the order in which it names them."""

    def __init__(self, waiter: Waiter, endpoint_ids: Iterable[str]) -> None:
        self.waiter = waiter
        self._ids = tuple(dict.fromkeys(endpoint_ids))
        self._versions: dict[str, str | None] = {}
        self.bytes = waiter.size + PART_BYTES * len(self._ids)
        """What is held."""
        self.closed = False
        """It was answered."""

    @property
    def missing(self) -> list[str]:
        """Endpoints of which nothing is known yet."""
        return [endpoint_id for endpoint_id in self._ids if endpoint_id not in self._versions]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return len(self._versions) == len(self._ids)

    @property
    def ids(self) -> tuple[str, ...]:
        """The distinct endpoints."""
        return self._ids

    def put(self, endpoint_id: str, version: str | None) -> int:
        """The endpoint has this application version, or none; how many bytes more are held."""
        known = version is None or version in self._versions.values()
        self._versions[endpoint_id] = version
        added = 0 if known else len(version or "")
        self.bytes += added
        return added

    def groups(self) -> dict[str, list[str]]:
        """Application versions with their endpoints; what has none is left out."""
        groups: dict[str, list[str]] = {}
        for endpoint_id in self._ids:
            if (version := self._versions.get(endpoint_id)) is not None:
                groups.setdefault(version, []).append(endpoint_id)
        return groups


@dataclass(frozen=True, slots=True)
class Part:
    """One endpoint of a request that waits for it."""

    gather: Gather
    endpoint_id: str

    @property
    def arrived_ms(self) -> int:
        """When the request arrived, monotonic."""
        return self.gather.waiter.arrived_ms

    @property
    def size(self) -> int:
        """Bytes that count against the bound of what may wait, the request itself left out."""
        return WAITER_BYTES
