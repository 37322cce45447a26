"""Gets that wait for loads: flights, loads, and who is answered by which.

A *get* is here whatever asks for one endpoint: its metadata, its keys, or a part of a request about several.
A *flight* is one endpoint and the gets that one load of it will answer. It is queued until ``begin`` takes it
into a load; from that moment, its lease, it is running. An endpoint has at most one queued flight, its
youngest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Generic, Protocol, TypeVar

from kaa_epr.engine.pure.codec import AppVersionsRequest, GetRequest, KeysGetRequest
from kaa_epr.engine.pure.limits import LOWEST, WAITER_BYTES


class Waiting(Protocol):
    """A get as far as flights are concerned."""

    @property
    def arrived_ms(self) -> int:
        """Monotonic."""

    @property
    def size(self) -> int:
        """Bytes that count against the bound of what may wait."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """A request that waits, with where its answer goes. ``arrived_ms`` is monotonic."""

    request: GetRequest | KeysGetRequest | AppVersionsRequest
    reply: bytes
    traceparent: bytes | None
    arrived_ms: int
    payload_bytes: int

    @property
    def size(self) -> int:
        """Bytes that count against the bound of what may wait: the payload, and what was decoded from it."""
        return WAITER_BYTES + 2 * self.payload_bytes + len(self.reply) + len(self.traceparent or b"")


W = TypeVar("W", bound=Waiting)


@dataclass(slots=True)
class _Flight(Generic[W]):
    load: int | None = None
    """The load that took it; None while it is queued."""
    cut: bool = False
    """Later gets must not join, and the result must not be cached."""
    cacheable: bool = False
    reloads: int = 0
    """How many loads of it returned less than they should have."""
    least: int = LOWEST
    """The version that an older flight was answered with while this one ran: less would be a step back."""
    waiters: list[W] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Landing(Generic[W]):
    """What a landed flight leaves to do: gets to answer, oldest first, and whether to cache the result.

    ``reloads``: how many loads were in vain before. ``least``: the version that an older load of this
    endpoint was answered with while this one ran.
    """

    waiters: list[W]
    cacheable: bool
    reloads: int
    least: int

    @property
    def oldest_ms(self) -> int:
        """When the first of the gets arrived; long ago when none is left."""
        return min((waiter.arrived_ms for waiter in self.waiters), default=LOWEST)

    def take(self) -> list[W]:
        """The gets that nobody took yet."""
        taken = list(self.waiters)
        self.waiters.clear()
        return taken


class Park(Generic[W]):
    """All gets that wait, bounded in number and in bytes."""

    def __init__(self, max_waiters: int, max_bytes: int) -> None:
        self._max_waiters = max_waiters
        self._max_bytes = max_bytes
        self._flights: dict[str, list[_Flight[W]]] = {}
        self._queue: dict[str, None] = {}
        self._loads: dict[int, list[str]] = {}
        self._next_load = 1
        self.waiters = 0
        self.bytes = 0
        self._oldest_ms = 0
        """No get that waits arrived before this."""

    @property
    def queued(self) -> int:
        """Flights that no load has taken yet."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Loads that have begun and not ended."""
        return len(self._loads)

    def admits(self, waiters: int, size: int) -> bool:
        """Whether there is room for so many more gets of so many bytes together."""
        return self.waiters + waiters <= self._max_waiters and self.bytes + size <= self._max_bytes

    def charge(self, size: int) -> None:
        """Counts bytes of waiting gets that are kept elsewhere; a negative number gives them back."""
        self.bytes += size

    def park(self, endpoint_id: str, waiter: W, *, alone: bool) -> bool:
        """Parks a get that was admitted; returns whether it joined a flight.

        ``alone``: a running flight will not do.
        """
        self._oldest_ms = min(self._oldest_ms, waiter.arrived_ms) if self.waiters else waiter.arrived_ms
        self.waiters += 1
        self.bytes += waiter.size
        flights = self._flights.setdefault(endpoint_id, [])
        if flights and (flights[-1].load is None or not (flights[-1].cut or alone)):
            flights[-1].waiters.append(waiter)
            return True
        flights.append(_Flight(waiters=[waiter]))
        self._queue[endpoint_id] = None
        return False

    def park_again(self, endpoint_id: str, landing: Landing[W]) -> None:
        """Parks the gets of a flight that landed in vain; those of a younger queued one come behind."""
        self._oldest_ms = min(self._oldest_ms, landing.oldest_ms)
        again = landing.take()
        self.waiters += len(again)
        self.bytes += sum(waiter.size for waiter in again)
        flights = self._flights.setdefault(endpoint_id, [])
        reloads = landing.reloads + 1
        if flights and flights[-1].load is None:
            flights[-1].waiters[:0] = again
            flights[-1].reloads = max(flights[-1].reloads, reloads)
        else:
            flights.append(_Flight(waiters=again, reloads=reloads))
            self._queue[endpoint_id] = None

    def begin(self, max_ids: int, cacheable: Callable[[str], bool]) -> tuple[int, list[str]] | None:
        """Takes up to ``max_ids`` queued flights, oldest first, as one load.

        ``cacheable`` tells of each id whether a load of it that begins now may be cached.
        """
        ids = list(self._queue)[: max(max_ids, 0)]
        if not ids:
            return None
        load = self._next_load
        self._next_load += 1
        self._loads[load] = ids
        for endpoint_id in ids:
            del self._queue[endpoint_id]
            flight = self._flights[endpoint_id][-1]
            flight.load = load
            flight.least = LOWEST
            flight.cacheable = cacheable(endpoint_id)
        return load, list(ids)

    def end(self, load: int) -> list[str]:
        """Ends a load: the ids it was for. ValueError when it is not running."""
        try:
            return self._loads.pop(load)
        except KeyError:
            raise ValueError(f"no load {load} is running") from None

    def land(self, load: int, endpoint_id: str) -> Landing[W] | None:
        """The load has a result: its flight and all older ones are answered by it.

        None when the load has no flight for the endpoint (any more: a younger load may have answered it).
        """
        flights = self._flights.get(endpoint_id, [])
        for index, flight in enumerate(flights):
            if flight.load == load:
                landed = flights[: index + 1]
                self._keep(endpoint_id, flights[index + 1 :])
                waiters = self._leave(waiter for each in landed for waiter in each.waiters)
                cacheable = flight.cacheable and not flight.cut
                return Landing(waiters, cacheable, flight.reloads, flight.least)
        return None

    def answered_with(self, endpoint_id: str, version: int) -> None:
        """Gets were answered with this version: loads that run must not take that back."""
        for flight in self._flights.get(endpoint_id, ()):
            flight.least = max(flight.least, version)

    def fail(self, load: int, endpoint_id: str) -> list[W]:
        """The load failed: only its own flight ends."""
        flights = self._flights.get(endpoint_id, [])
        failed = [flight for flight in flights if flight.load == load]
        self._keep(endpoint_id, [flight for flight in flights if flight.load != load])
        return self._leave(waiter for flight in failed for waiter in flight.waiters)

    def fail_queued(self) -> list[W]:
        """Gives up every queued flight."""
        failed: list[W] = []
        for endpoint_id in self._queue:
            *running, queued = self._flights[endpoint_id]
            self._keep(endpoint_id, running)
            failed += queued.waiters
        self._queue.clear()
        return self._leave(failed)

    def fail_overdue(self, arrived_ms: int) -> list[W]:
        """Gives up the gets that arrived at or before ``arrived_ms``, oldest first, queued or running.

        A queued flight that nobody waits for any more is gone; a running one goes on, for the gets that came
        later and for the cache.
        """
        if not self.waiters or self._oldest_ms > arrived_ms:
            return []
        failed: list[tuple[int, str, W]] = []
        for endpoint_id, flights in list(self._flights.items()):
            for flight in flights:
                overdue = [each for each in flight.waiters if each.arrived_ms <= arrived_ms]
                failed += ((each.arrived_ms, endpoint_id, each) for each in overdue)
                flight.waiters = [each for each in flight.waiters if each.arrived_ms > arrived_ms]
            if endpoint_id in self._queue and not flights[-1].waiters:
                del self._queue[endpoint_id]
                self._keep(endpoint_id, flights[:-1])
        left = (flight for flights in self._flights.values() for flight in flights)
        self._oldest_ms = min((each.arrived_ms for flight in left for each in flight.waiters), default=0)
        failed.sort(key=itemgetter(0, 1))
        return self._leave(each for _, _, each in failed)

    def cut(self, endpoint_id: str) -> None:
        """An event: running flights answer who waits, and are neither joined nor cached any more."""
        for flight in self._flights.get(endpoint_id, ()):
            flight.cut = flight.cut or flight.load is not None

    def cut_all(self) -> None:
        """A new epoch: as ``cut`` for every endpoint."""
        for endpoint_id in self._flights:
            self.cut(endpoint_id)

    def _keep(self, endpoint_id: str, flights: list[_Flight[W]]) -> None:
        if flights:
            self._flights[endpoint_id] = flights
        else:
            self._flights.pop(endpoint_id, None)

    def _leave(self, waiters: Iterable[W]) -> list[W]:
        left = list(waiters)
        self.waiters -= len(left)
        self.bytes -= sum(waiter.size for waiter in left)
        return left
