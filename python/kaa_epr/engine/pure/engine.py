"""The pure engine: the state machine of ARCHITECTURE.md, "The engine", without the extension.

Same contract, verdicts and bytes as the Rust core (``rust/core/src/pipeline``); only slower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kaa_epr.engine.api import EngineConfig, Evidence, FlushCause, Kind
from kaa_epr.engine.pure.answers import BUG, STORE, Now
from kaa_epr.engine.pure.bson_check import DocumentError
from kaa_epr.engine.pure.checked import DecodeError
from kaa_epr.engine.pure.entry import id_of, split
from kaa_epr.engine.pure.limits import MAX_SAMPLE
from kaa_epr.engine.pure.pipeline import Pipeline
from kaa_epr.engine.pure.serving import attempt


class PureEngine:
    """One responder's state; the methods are those of ``kaa_epr.engine.api.Engine``."""

    name = "pure"

    def __init__(self, config: EngineConfig) -> None:
        self._mapping = config.mapping
        self._store_timeout_ms = config.store_timeout_ms
        self._pipeline = Pipeline(config)
        self._ticked_ms = 0

    # --- connection -----------------------------------------------------------------------------------------

    def link_up(self, *, max_payload: int, headers: bool, cluster: bool, wall_ms: int, mono_ms: int) -> bytes:
        """A new connection: nothing survives the gap (rule 3), held answers are returned."""
        pipeline = self._pipeline
        pipeline.desk.link_up(max_payload=max_payload, headers=headers)
        pipeline.coherence.connected(cluster=cluster, mono_ms=mono_ms)
        pipeline.forget_all()
        pipeline.counters.add("flushes_connection")
        pipeline.output.link_up(max_payload=max_payload, headers=headers, wall_ms=wall_ms, mono_ms=mono_ms)
        return pipeline.output.take()

    def ears(self, hearing: bool, mono_ms: int) -> None:
        """Whether every event subscription is confirmed (rules 3 and 4)."""
        if self._pipeline.coherence.ears(hearing=hearing, mono_ms=mono_ms):
            self._pipeline.forget_all()
            if not hearing:
                self._pipeline.counters.add("flushes_ears_lost")

    def link_down(self) -> None:
        """The connection is gone: deaf from now on, and answers are held."""
        self._pipeline.coherence.disconnected()
        self._pipeline.forget_all()
        self._pipeline.output.link_down()

    # --- messages -------------------------------------------------------------------------------------------

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
        """A request (flow 1); returns whether flights are queued. ValueError for a kind that is none."""
        if not Kind(kind).is_request:
            raise ValueError("an event is not a request")
        now = Now(wall_ms, mono_ms)
        self._pipeline.get(Kind(kind), reply.encode(), headers, payload, now, fresh=fresh)
        return self._pipeline.park.queued > 0

    def event(self, kind: Kind, headers: bytes, payload: bytes, mono_ms: int) -> None:
        """An event (flow 3): its entry is changed or gone, or everything is. ValueError for a request."""
        if Kind(kind).is_request:
            raise ValueError("a request is not an event")
        if kind == Kind.HEARTBEAT:
            self._pipeline.heartbeat(headers, mono_ms)
            return
        try:
            self._pipeline.event(Kind(kind), headers, payload, mono_ms)
        except DecodeError:
            self._pipeline.counters.add("events_undecodable")
            self._pipeline.flush(FlushCause.UNDECODABLE_EVENT)

    def take_output(self) -> bytes:
        """The answers made since the last call, as frames."""
        return self._pipeline.output.take()

    def take_bugs(self) -> list[str]:
        """Correlation ids of gets answered 500 because of a bug, since the last call."""
        bugs = list(self._pipeline.bugs)
        self._pipeline.bugs.clear()
        return bugs

    # --- loads ----------------------------------------------------------------------------------------------

    def begin_load(self, max_ids: int, mono_ms: int) -> tuple[int, list[str]] | None:
        """Takes queued flights as one load: its number and endpoint ids."""
        pipeline = self._pipeline
        begun = pipeline.park.begin(max_ids, lambda each: pipeline.coherence.may_cache(each, mono_ms))
        if begun is not None:
            pipeline.counters.add("loads")
            pipeline.counters.batch_sizes.observe(len(begun[1]))
        return begun

    def end_load(self, load: int, batches: Sequence[bytes], *, wall_ms: int, mono_ms: int) -> list[str]:
        """The store's answer (flow 2); returns the ids of unusable documents. ValueError for an unknown load.

        A batch that cannot be cut into documents fails the whole load. A document that nobody asked for, or
        a second one of an endpoint, lands nowhere.
        """
        pipeline, now = self._pipeline, Now(wall_ms, mono_ms)
        documents = attempt("reading a load", lambda: self._named(batches))
        if documents is None or isinstance(documents, DocumentError):
            pipeline.abandon(load, BUG if documents is None else STORE, now)
            return []
        ids = pipeline.park.end(load)
        unusable: list[str] = []
        for endpoint_id, document in documents:
            if (landing := pipeline.park.land(load, endpoint_id)) is not None:
                pipeline.counters.add("loaded_endpoints")
                if not pipeline.land(endpoint_id, landing, document, now):
                    unusable.append(endpoint_id)
        for endpoint_id in ids:
            if (landing := pipeline.park.land(load, endpoint_id)) is not None:
                pipeline.land(endpoint_id, landing, None, now)
        return unusable

    def _named(self, batches: Sequence[bytes]) -> list[tuple[str, bytes]] | DocumentError:
        """The documents with their endpoint ids, or why a batch cannot be cut into documents.

        A document that names no endpoint lands nowhere.
        """
        try:
            documents = [document for batch in batches for document in split(batch)]
        except DocumentError as error:
            return error
        named = ((id_of(document, self._mapping), document) for document in documents)
        return [(endpoint_id, document) for endpoint_id, document in named if endpoint_id is not None]

    def fail_load(self, load: int, *, wall_ms: int, mono_ms: int) -> None:
        """503 for every get of the load. ValueError for an unknown load."""
        self._pipeline.abandon(load, STORE, Now(wall_ms, mono_ms))

    def store_up(self, up: bool, *, wall_ms: int, mono_ms: int) -> None:
        """While the store is down every miss gets 503 at once, queued flights included."""
        self._pipeline.store_up = up
        if not up:
            self._pipeline.fail(self._pipeline.park.fail_queued(), Now(wall_ms, mono_ms))

    def tick(self, *, wall_ms: int, mono_ms: int) -> None:
        """Finds writers that fell silent; fails gets and drops held answers in want of time."""
        self._ticked_ms = mono_ms
        self._pipeline.judged(self._pipeline.coherence.passed(mono_ms))
        overdue = self._pipeline.park.fail_overdue(mono_ms - self._store_timeout_ms)
        self._pipeline.fail(overdue, Now(wall_ms, mono_ms))
        self._pipeline.output.tick(wall_ms, mono_ms)

    # --- upkeep ---------------------------------------------------------------------------------------------

    def flush(self, cause: FlushCause) -> None:
        """Drops the whole cache; running flights answer but are not stored."""
        self._pipeline.flush(FlushCause(cause))

    def invalidate(self, endpoint_id: str, version: int | None, evidence: Evidence, *, mono_ms: int) -> bool:
        """The store has this version (rule 11); returns whether something older was cached."""
        return self._pipeline.invalidate(endpoint_id, version, Evidence(evidence), mono_ms)

    def sample(self, count: int, at: int) -> list[tuple[str, int | None]]:
        """Some cached endpoints with their versions, for the scrubber."""
        return self._pipeline.sample(min(count, MAX_SAMPLE), at)

    def cached(self, ids: Sequence[str]) -> list[tuple[str, int | None]]:
        """Which of ``ids`` are cached and may be served, with their versions."""
        return self._pipeline.cached(ids)

    def fingerprints(self, ids: Sequence[str]) -> list[tuple[str, int]]:
        """Which of ``ids`` are cached and may be served, with a hash of all that answers are made of."""
        return self._pipeline.fingerprints(ids)

    def fingerprints_of(self, batches: Sequence[bytes]) -> list[tuple[str, int | None, int]]:
        """The endpoints in loaded documents, with their versions and fingerprints."""
        return self._pipeline.fingerprints_of(batches)

    def pending(self) -> int:
        """Gets waiting for loads."""
        return self._pipeline.park.waiters

    def queued(self) -> int:
        """Endpoints that wait for a load to begin."""
        return self._pipeline.park.queued

    def stats(self) -> Mapping[str, int | list[int]]:
        """Counters, gauges and histograms by the names in ``engine/stats.py``."""
        pipeline = self._pipeline
        return {
            **pipeline.counters.values(),
            "evictions": pipeline.cache.evictions + pipeline.unknown.evictions,
            "held_dropped": pipeline.output.dropped,
            "cache_bytes": pipeline.cache.bytes,
            "cache_entries": len(pipeline.cache),
            "unknown_bytes": pipeline.unknown.bytes,
            "unknown_entries": len(pipeline.unknown),
            "pending": pipeline.park.waiters,
            "pending_bytes": pipeline.park.bytes,
            "queued_flights": pipeline.park.queued,
            "running_loads": pipeline.park.running,
            "held_bytes": pipeline.output.held_bytes,
            "epoch": pipeline.coherence.epoch,
            "coherent": int(pipeline.coherence.may_serve),
            "floors": len(pipeline.coherence.floors),
            **pipeline.coherence.writers.census(self._ticked_ms),
            "batch_sizes": pipeline.counters.batch_sizes.counts(),
            "wait_ms": pipeline.counters.wait_ms.counts(),
        }
