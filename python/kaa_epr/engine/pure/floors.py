"""Rule 6: the version that an event told of is the least that the store may answer for its endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from kaa_epr.engine.pure.limits import FLOOR_LEAST_AGE_MS, LOWEST, MAX_FLOORS


@dataclass(frozen=True, slots=True)
class Found:
    """What a load found, as far as floors care."""

    version: int | None = None
    absent: bool = False


@dataclass(slots=True)
class _Floor:
    version: int
    set_ms: int
    gone: bool
    """Set by an unregistered event: no document is then as good as a tombstone."""


class Floors:
    """The floors of all endpoints heard of lately, each for ``age_ms``.

    ``_order`` (endpoint to the time it was put there) holds every endpoint once; one whose floor was raised
    since goes to the back again when its turn comes.
    """

    def __init__(self, age_ms: int) -> None:
        self._age_ms = age_ms
        self._floors: dict[str, _Floor] = {}
        self._order: dict[str, int] = {}
        self._short_until_ms = 0

    def __len__(self) -> int:
        return len(self._floors)

    def raise_to(self, endpoint_id: str, version: int, mono_ms: int, *, gone: bool) -> None:
        """An event left the endpoint at ``version``; ``gone``: it was unregistered."""
        while self._order and next(iter(self._order.values())) + self._age_ms <= mono_ms:
            self._take_oldest()
        floor = self._floors.get(endpoint_id)
        if floor is not None:
            if version >= floor.version:
                self._floors[endpoint_id] = _Floor(version, mono_ms, gone)
            return
        while len(self._floors) >= MAX_FLOORS:
            if (taken := self._take_oldest()) is not None:
                self._short_until_ms = max(self._short_until_ms, taken.set_ms + FLOOR_LEAST_AGE_MS)
        self._floors[endpoint_id] = _Floor(version, mono_ms, gone)
        self._order[endpoint_id] = mono_ms

    def lower(self, endpoint_id: str) -> None:
        """A foreign event: its writer may have set the version back."""
        if (floor := self._floors.get(endpoint_id)) is not None:
            floor.version, floor.gone = LOWEST, True

    def clear(self) -> None:
        """All are void."""
        self._floors.clear()
        self._order.clear()
        self._short_until_ms = 0

    def admits(self, endpoint_id: str, found: Found, mono_ms: int) -> bool:
        """Whether the store may answer this."""
        floor = self._get(endpoint_id, mono_ms)
        if floor is None:
            return True
        if found.absent:
            return floor.gone
        return found.version is None or found.version >= floor.version

    def may_lack(self, endpoint_id: str, mono_ms: int) -> bool:
        """Whether the endpoint may have had a floor that had to give way too early."""
        return mono_ms < self._short_until_ms and self._get(endpoint_id, mono_ms) is None

    def _get(self, endpoint_id: str, mono_ms: int) -> _Floor | None:
        floor = self._floors.get(endpoint_id)
        return floor if floor is not None and mono_ms < floor.set_ms + self._age_ms else None

    def _take_oldest(self) -> _Floor | None:
        """Removes the first in order, or puts it at the back when it was raised since."""
        endpoint_id, put_ms = next(iter(self._order.items()))
        del self._order[endpoint_id]
        if self._floors[endpoint_id].set_ms > put_ms:
            self._order[endpoint_id] = self._floors[endpoint_id].set_ms
            return None
        return self._floors.pop(endpoint_id)
