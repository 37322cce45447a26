"""The stages of the four flows, each on the state they share (ARCHITECTURE.md)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from pathlib import PurePath
from traceback import extract_tb
from typing import Final

from kaa_epr.engine.api import EngineConfig, Evidence, FlushCause, Kind
from kaa_epr.engine.pure.answers import (
    BUG,
    BUSY,
    NOT_FOUND,
    STORE,
    UNUSABLE,
    Desk,
    Envelope,
    Failure,
    Now,
    envelope_of,
)
from kaa_epr.engine.pure.bson_check import DocumentError
from kaa_epr.engine.pure.cache import BoundedCache, Miss
from kaa_epr.engine.pure.checked import Malformed
from kaa_epr.engine.pure.codec import decode_event, decode_get
from kaa_epr.engine.pure.coherence import Coherence
from kaa_epr.engine.pure.counters import Counters
from kaa_epr.engine.pure.entry import Entry, Tombstone, from_bson
from kaa_epr.engine.pure.floors import Found
from kaa_epr.engine.pure.frames import LEAVING, SEQ, TRACEPARENT, VERSION, WRITER, header
from kaa_epr.engine.pure.limits import LOWEST, MAX_BUGS, MAX_RELOADS
from kaa_epr.engine.pure.output import Output
from kaa_epr.engine.pure.park import Landing, Park, Waiter
from kaa_epr.engine.pure.writers import Numbered, Signal, Verdict, numbered, version_of

_MARK_BYTES: Final = 200
"""Charged for the mark of an unknown endpoint beside its ID."""
_INVALIDATIONS: Final = {
    Kind.METADATA_UPDATED: "invalidations_metadata_updated",
    Kind.REGISTERED: "invalidations_registered",
    Kind.UNREGISTERED: "invalidations_unregistered",
    Kind.APP_VERSION_UPDATED: "invalidations_appversion_updated",
}
_log = logging.getLogger(__name__)


class Pipeline:
    """What the engine's methods are made of: the shared state, and one method per stage."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self.counters = Counters()
        self.output = Output(config.max_held_bytes, config.held_max_age_ms)
        self.desk = Desk(self.output, self.counters)
        self.park = Park(config.max_pending, config.max_pending_bytes)
        self.coherence = Coherence(config)
        self.cache: BoundedCache[Entry] = BoundedCache(
            config.cache_max_bytes, config.cache_max_age_ms, config.hash_seed
        )
        self.unknown: BoundedCache[None] = BoundedCache(
            config.unknown_max_bytes, config.unknown_max_age_ms, config.hash_seed
        )
        self.store_up = True
        self.bugs: deque[str] = deque(maxlen=MAX_BUGS)
        """Correlation ids of gets that met a bug, until the shell takes them."""

    def get(self, reply: bytes, headers: bytes, payload: bytes, now: Now, *, fresh: bool) -> None:
        """Flow 1 in the order of design section 5: replyTo, decoding, expiry, cache; then ``_miss``."""
        self.counters.add("requests")
        self.judged(self.coherence.passed(now.mono_ms))
        if not reply:
            self.counters.add("requests_no_reply")
            return
        traceparent = header(headers, TRACEPARENT)
        try:
            request = decode_get(payload, self._config.plain_revision)
        except Malformed as malformed:
            self._refuse(malformed, reply, traceparent, now)
            return
        waiter = Waiter(request, reply, traceparent, now.mono_ms, len(payload))
        if request.expired(now.wall_ms):
            self.counters.add("requests_expired")
        elif fresh or not self._hit(waiter, now):
            self._miss(waiter, now, fresh=fresh)

    def event(self, kind: Kind, headers: bytes, payload: bytes, mono_ms: int) -> None:
        """Flow 3: entry and mark are gone, flights are cut. Raises DecodeError, the event's number judged."""
        self._heard(numbered(header(headers, WRITER), header(headers, SEQ), Signal.EVENT), mono_ms)
        endpoint_id = decode_event(kind, payload)
        self._forget(endpoint_id)
        self.park.cut(endpoint_id)
        version = version_of(header(headers, VERSION))
        self.counters.add("events_foreign", version is None)
        self._changed(endpoint_id, version, mono_ms, gone=kind is Kind.UNREGISTERED)
        self.counters.add(_INVALIDATIONS[kind])

    def heartbeat(self, headers: bytes, mono_ms: int) -> None:
        """Rule 5: a writer lives, and says how far its numbers went."""
        self.counters.add("heartbeats")
        signal = Signal.GOODBYE if header(headers, LEAVING) == b"1" else Signal.HEARTBEAT
        number = numbered(header(headers, WRITER), header(headers, SEQ), signal)
        self.counters.add("heartbeats_malformed", number is None)
        self._heard(number, mono_ms)

    def judged(self, verdict: Verdict) -> None:
        """Rule 5: what a verdict demands."""
        self.counters.add("events_lost", verdict.lost)
        self.counters.add("events_late", verdict.late)
        if verdict.flush is not None:
            self.flush(verdict.flush)

    def invalidate(self, endpoint_id: str, version: int | None, evidence: Evidence, mono_ms: int) -> bool:
        """Rule 11: somebody looked into the store; returns whether something older was cached."""
        cached = self.cache.peek(endpoint_id)
        older = cached is not None and (version is None or cached.version is None or cached.version < version)
        stale = older or endpoint_id in self.unknown
        if stale:
            self._forget(endpoint_id)
            self.counters.add("stale_proven" if evidence is Evidence.PROOF else "stale_suspected")
        self.park.cut(endpoint_id)
        self._changed(endpoint_id, version, mono_ms, gone=False)
        return stale

    def sample(self, count: int, at: int) -> list[tuple[str, int | None]]:
        """Rule 11: some cached endpoints with their versions."""
        chosen = self.cache.sample(count, at) if self.coherence.may_serve else []
        return [(endpoint_id, entry.version) for endpoint_id, entry in chosen]

    def landed(self, endpoint_id: str, landing: Landing, document: bytes, now: Now) -> bool:
        """Flow 2: one document arrived; its gets are answered, then it is cached. False when unusable."""
        try:
            entry = from_bson(document, endpoint_id, self._config.mapping)
        except DocumentError:
            self.counters.add("unusable_documents")
            self._forget(endpoint_id)
            self.answer(landing.waiters, UNUSABLE, now)
            return False
        if isinstance(entry, Tombstone):
            self.landed_unknown(endpoint_id, Found(entry.version), landing, now)
            return True
        if not self._admits(endpoint_id, Found(entry.version), landing, now):
            self._reload(endpoint_id, landing, now)
            return True
        self._forget(endpoint_id)
        self.answer(landing.waiters, entry, now)
        cached = landing.cacheable and self.cache.insert(endpoint_id, entry, entry.size, now.mono_ms)
        self.counters.add("void_fills", not cached)
        return True

    def landed_unknown(self, endpoint_id: str, found: Found, landing: Landing, now: Now) -> None:
        """Flow 2: the store has no such endpoint, or a tombstone."""
        if not self._admits(endpoint_id, found, landing, now):
            self._reload(endpoint_id, landing, now)
            return
        self._forget(endpoint_id)
        self.answer(landing.waiters, NOT_FOUND, now)
        cached = landing.cacheable and self.unknown.insert(endpoint_id, None, _MARK_BYTES, now.mono_ms)
        self.counters.add("void_fills", not cached)

    def fail(self, waiters: Iterable[Waiter], now: Now) -> None:
        """Flow 2: the store did not answer."""
        self.answer(waiters, STORE, now)

    def forget_all(self) -> None:
        """A new epoch: nothing is cached, and nothing that runs will be."""
        self.cache.clear()
        self.unknown.clear()
        self.park.cut_all()

    def flush(self, cause: FlushCause) -> None:
        """A new epoch, counted by its cause."""
        if cause is FlushCause.OPERATOR:
            self.coherence.floors.clear()
        self.coherence.flushed()
        self.forget_all()
        self.counters.add(f"flushes_{cause.name.lower()}")

    def answer(self, waiters: Iterable[Waiter], outcome: Entry | Failure, now: Now) -> None:
        """Answers gets that waited, unless they expired meanwhile."""
        for waiter in waiters:
            self.counters.wait_ms.observe(max(now.mono_ms - waiter.arrived_ms, 0))
            if waiter.request.expired(now.wall_ms):
                self.counters.add("requests_expired")
            else:
                self._answer_one(waiter, outcome, now)

    def _refuse(self, malformed: Malformed, reply: bytes, traceparent: bytes | None, now: Now) -> None:
        """400, in the request's own revision where it can be told."""
        own = {True: 3, False: self._config.plain_revision, None: self._config.default_revision}
        envelope = Envelope(
            reply=reply,
            traceparent=traceparent,
            correlation_id=malformed.correlation_id,
            endpoint_id=malformed.endpoint_id,
            revision=own[malformed.flag],
        )
        self.desk.fail(envelope, Failure(400, malformed.error.cause.value), now)

    def _hit(self, waiter: Waiter, now: Now) -> bool:
        """Answers from the cache or from the mark of an unknown endpoint, while that is allowed."""
        if not self.coherence.may_serve:
            return False
        endpoint_id = waiter.request.endpoint_id
        entry = self.cache.get(endpoint_id, now.mono_ms)
        if isinstance(entry, Entry):
            self.counters.add("hits")
            self._answer_one(waiter, entry, now)
            return True
        mark = self.unknown.get(endpoint_id, now.mono_ms)
        self.counters.add("expirations", (entry is Miss.EXPIRED) + (mark is Miss.EXPIRED))
        if mark is None:
            self.counters.add("unknown_hits")
            self._answer_one(waiter, NOT_FOUND, now)
            return True
        return False

    def _miss(self, waiter: Waiter, now: Now, *, fresh: bool) -> None:
        """Flow 2: the get waits for a load, unless too much waits already or the store is down."""
        self.counters.add("misses")
        if not self.park.admits(waiter):
            self._answer_one(waiter, BUSY, now)
        elif not self.store_up:
            self._answer_one(waiter, STORE, now)
        elif self.park.park(waiter, alone=fresh or not self.coherence.may_serve):
            self.counters.add("joined")

    def _heard(self, number: Numbered | None, mono_ms: int) -> None:
        if number is not None:
            self.judged(self.coherence.writers.hear(number, mono_ms))

    def _changed(self, endpoint_id: str, version: int | None, mono_ms: int, *, gone: bool) -> None:
        """Rules 6 and 7: a version is a floor from now on; a change without one settles."""
        if version is None:
            self.coherence.foreign_event(endpoint_id, mono_ms)
        else:
            self.coherence.floors.raise_to(endpoint_id, version, mono_ms, gone=gone)

    def _admits(self, endpoint_id: str, found: Found, landing: Landing, now: Now) -> bool:
        """Whether this may be answered: rule 6, and nobody was answered with more while the load ran."""
        version = LOWEST if found.absent else found.version
        admitted = self.coherence.floors.admits(endpoint_id, found, now.mono_ms)
        if version is None or not admitted:
            return admitted
        if version < landing.least:
            return False
        self.park.answered_with(endpoint_id, version)
        return True

    def _reload(self, endpoint_id: str, landing: Landing, now: Now) -> None:
        """Rule 6: the store returned less than an event told of. Its gets are loaded for again in time."""
        self.counters.add("stale_loads")
        in_time = now.mono_ms < landing.waiters[0].arrived_ms + self._config.store_timeout_ms
        if landing.reloads < MAX_RELOADS and in_time and self.store_up:
            self.park.park_again(endpoint_id, landing)
        else:
            self.answer(landing.waiters, STORE, now)

    def _forget(self, endpoint_id: str) -> None:
        """An event, or what a load found, takes the place of whatever was known before."""
        self.cache.remove(endpoint_id)
        self.unknown.remove(endpoint_id)

    def _answer_one(self, waiter: Waiter, outcome: Entry | Failure, now: Now) -> None:
        """Makes one answer. A bug in there costs this get a 500 and no other get anything (design section 5).

        The log has the place and the kind of error only: error texts of codecs may hold metadata values.
        """
        request = waiter.request
        envelope = envelope_of(request, waiter.reply, waiter.traceparent)
        try:
            if isinstance(outcome, Entry):
                self.desk.found(envelope, request, outcome, now)
            else:
                self.desk.fail(envelope, outcome, now)
        except Exception as error:  # noqa: BLE001 - the outermost boundary of one get: logged, answered 500
            frame = extract_tb(error.__traceback__)[-1]
            place = f"{PurePath(frame.filename).name}:{frame.lineno}"
            _log.error(
                "answering a get failed: %s at %s",
                type(error).__name__,
                place,
                extra={"correlation_id": request.correlation_id},
            )
            self.bugs.append(request.correlation_id)
            self.desk.fail(envelope, BUG, now)
