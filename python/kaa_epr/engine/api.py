"""The engine: one sans-I/O state machine, two implementations (`rust`, `pure`), one contract.

The shell (wire, fill) reports what arrived and what time it is; the engine answers with bytes to write and
loads to make. It never blocks and never calls back (but see ``Reader``). Times: ``wall_ms`` is Unix time in
milliseconds, ``mono_ms`` a monotonic clock in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol, TypeAlias


class Kind(IntEnum):
    """What a subscription carries; the numbers are shared with the core."""

    GET = 0
    METADATA_UPDATED = 1
    REGISTERED = 2
    UNREGISTERED = 3
    APP_VERSION_UPDATED = 4
    HEARTBEAT = 5
    KEYS_GET = 6
    APP_VERSIONS = 7

    @property
    def is_request(self) -> bool:
        """Whether it is to be answered; the others are to be heard."""
        return self in (Kind.GET, Kind.KEYS_GET, Kind.APP_VERSIONS)


class FlushCause(IntEnum):
    """Why the whole cache was dropped; the numbers are shared with the core."""

    CONNECTION = 0
    UNDECODABLE_EVENT = 1
    EVENT_OVERFLOW = 2
    EARS_LOST = 3
    STORE_PRIMARY_CHANGED = 4
    OPERATOR = 5
    """Somebody asked for it; forgets the floors of versions as well."""
    HEARTBEAT = 6
    """A writer fell silent."""
    HOLE = 7
    """Events of a writer are missing, or may have been missed before it was first heard."""
    WITNESS_LOST = 8
    """The change stream could not go on where it was."""
    COLLECTION_ENDED = 9
    """The collection was dropped or renamed; forgets the floors of versions as well."""


class Evidence(IntEnum):
    """What made somebody look whether an entry is stale; the numbers are shared with the core."""

    CHANGE_STREAM = 0
    """It tells of a change whose event may still be on its way."""
    PROOF = 1
    """The scrubber found the same entry when it looked again, later than any event takes."""


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """Names of the top-level document fields (ARCHITECTURE.md, "Stored documents")."""

    id: str = "_id"
    metadata: str = "metadata"
    application_version: str = "application_version"
    version: str = "version"
    deleted_at: str = "deleted_at"


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Limits and choices of one engine. Sizes in bytes, ages in milliseconds."""

    cache_max_bytes: int = 256 * 1024 * 1024
    cache_max_age_ms: int = 3_600_000
    unknown_max_bytes: int = 8 * 1024 * 1024
    unknown_max_age_ms: int = 10_000
    max_pending: int = 65_536
    max_pending_bytes: int = 64 * 1024 * 1024
    max_held_bytes: int = 16 * 1024 * 1024
    held_max_age_ms: int = 2_000
    store_timeout_ms: int = 2_000
    default_revision: int = 1
    """The revision (1, 2 or 3) of the 400 to a get that could not be read far enough to tell its own."""
    plain_revision: int = 1
    """The revision (1 or 2) of a request with no byte after ``include``."""
    settle_ms: int = 2_000
    """How long nothing is cached after connecting to a cluster (coherence rule 3)."""
    silence_ms: int = 1_500
    """After how long without a sign of life a writer counts as silent (rule 5, ``schemas/coherence/``)."""
    forget_ms: int = 60_000
    """How long a silent writer is waited for (rule 5)."""
    foreign_settle_ms: int = 1_000
    """How long loads begun after an event without our headers are not cached (rule 7)."""
    apply_events: bool = True
    """Whether events whose diff is exact change cached entries instead of dropping them (rule 12)."""
    hash_seed: int = 0
    mapping: FieldMapping = field(default_factory=FieldMapping)


FeedResult: TypeAlias = tuple[bytes, bytes, int, bool, bool]
"""What one read chunk came to: ``(out, rest, answers, loads, more)``.

``out``: answers, to be written to the connection before anything else is read; ``rest``: bytes that are
nats-py's own, in wire order; ``answers``: how many ``out`` holds; ``loads``: flights are queued, ask
``begin_load``; ``more``: the output limit was reached, write ``out`` and call ``resume`` when there is room.
A plain tuple, since one is made per chunk.
"""


class Engine(Protocol):
    """One responder's state. Not thread-safe; everything runs on the event loop's thread."""

    @property
    def name(self) -> str:
        """``rust`` or ``pure``."""

    # --- connection ---------------------------------------------------------------------------------------
    def link_up(self, *, max_payload: int, headers: bool, cluster: bool, wall_ms: int, mono_ms: int) -> bytes:
        """A new connection: the cache is empty, running flights are stale, nothing is cached until ``ears``.

        Returns the held answers that are still in time, as PUB/HPUB frames to write.
        """

    def ears(self, hearing: bool, mono_ms: int) -> None:
        """Whether the server confirmed every event subscription of this connection (rules 3 and 4)."""

    def link_down(self) -> None:
        """The connection is gone: deaf from now on (a new epoch), and answers are held."""

    # --- messages, one at a time (callback path, and the other path's stragglers) ---------------------------
    def get(
        self,
        reply: str,
        headers: bytes,
        payload: bytes,
        *,
        kind: Kind = Kind.GET,
        fresh: bool,
        wall_ms: int,
        mono_ms: int,
    ) -> bool:
        """A request. ``fresh``: events may wait unread, so neither cache nor running flight will do.

        ``headers`` is the raw NATS header block or empty. Returns whether flights are queued. ValueError when
        ``kind`` is no request.
        """

    def event(self, kind: Kind, headers: bytes, payload: bytes, mono_ms: int) -> None:
        """A 9/ELCE or 15/EME event: drops the entry, voids the flights, or flushes when undecodable.

        Or a writer's heartbeat. Whatever is numbered is judged by rule 5.
        """

    def take_output(self) -> bytes:
        """The answers made since the last call, as PUB/HPUB frames; empty while no connection is up.

        A fast engine keeps back what is beyond one feed's output; ``resume`` goes on with it.
        """

    def take_bugs(self) -> list[str]:
        """Correlation ids (at most 16) of requests answered 500 because of a bug, since the last call."""

    # --- loads ----------------------------------------------------------------------------------------------
    def begin_load(self, max_ids: int, mono_ms: int) -> tuple[int, list[str]] | None:
        """Takes up to ``max_ids`` queued flights as one load: its number and endpoint ids, or None."""

    def end_load(self, load: int, batches: Sequence[bytes], *, wall_ms: int, mono_ms: int) -> list[str]:
        """The store's answer: raw BSON documents, concatenated, in any order; ids without one are unknown.

        Returns the ids of the endpoints whose document is unusable.
        """

    def fail_load(self, load: int, *, wall_ms: int, mono_ms: int) -> None:
        """The store did not answer: 503 for every get of the load."""

    def store_up(self, up: bool, *, wall_ms: int, mono_ms: int) -> None:
        """While the store is down every miss gets 503 at once, queued flights included."""

    def tick(self, *, wall_ms: int, mono_ms: int) -> None:
        """Some times a second: 503 for gets that have waited ``store_timeout_ms``, loads queued or running;
        drops held answers.
        """

    # --- upkeep ---------------------------------------------------------------------------------------------
    def flush(self, cause: FlushCause) -> None:
        """Drops the whole cache (a new epoch); running flights answer but are not stored."""

    def invalidate(self, endpoint_id: str, version: int | None, evidence: Evidence, *, mono_ms: int) -> bool:
        """The store has ``version`` of the endpoint (rule 11); None: it changed without one, or is gone.

        Flights are voided and the version is a floor from now on. Returns whether something older was cached.
        """

    def sample(self, count: int, at: int) -> list[tuple[str, int | None]]:
        """Up to ``count`` (at most 1,024) cached endpoints with their versions, for the scrubber.

        ``at`` (0 to 2**64 - 1, random) says where to begin. Empty while nothing may be served.
        """

    def cached(self, ids: Sequence[str]) -> list[tuple[str, int | None]]:
        """Which of ``ids`` are cached, with their versions; none while nothing may be served."""

    def fingerprints(self, ids: Sequence[str]) -> list[tuple[str, int]]:
        """Which of ``ids`` are cached, with a hash of all that answers are made of; none while nothing may be
        served. Hashes of one engine compare with each other only.
        """

    def fingerprints_of(self, batches: Sequence[bytes]) -> list[tuple[str, int | None, int]]:
        """The endpoints in loaded documents: versions, and the fingerprints that they would have if cached.

        Tombstones, and documents that are unusable, are left out.
        """

    def pending(self) -> int:
        """Gets waiting for loads."""

    def queued(self) -> int:
        """Endpoints that wait for a load to begin."""

    def stats(self) -> Mapping[str, int | list[int]]:
        """Counters since start and gauges, by the names in ``engine/stats.py``."""


class Reader(Protocol):
    """Takes the chunks of one connection, at the time at which they come."""

    @property
    def bytes_read(self) -> int:
        """Bytes taken so far."""

    def feed(self, data: bytes) -> None:
        """The bytes of one read, whole frames or not. Raises what ``took`` raises."""

    def close(self) -> None:
        """Whatever still comes is nobody's: it neither reaches the engine nor counts."""


class FastEngine(Engine, Protocol):
    """An engine that reads the connection's bytes itself (flow 1: one call per read chunk)."""

    def bind(self, sid: int, kind: Kind) -> None:
        """Messages of subscription ``sid`` are the engine's from now on."""

    def unbind(self, sid: int) -> None:
        """Messages of ``sid`` go to nats-py again."""

    def reset_scanner(self) -> None:
        """The bytes of a new connection start here."""

    def reader(self, took: Callable[[FeedResult, float], None], mono_ns: int) -> Reader:
        """What a new connection reads through. ``mono_ns``: ``time.monotonic_ns()`` of this moment.

        ``took(result, seconds)`` is called within ``Reader.feed``, ``seconds`` after the chunk came, if
        anything is to be written, passed on or resumed, or flights were queued. For a chunk of events
        alone it is not.
        """

    def resume(self, wall_ms: int, mono_ms: int) -> FeedResult:
        """Goes on with what was left when ``more`` was returned, and with landed gets kept back."""
