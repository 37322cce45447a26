"""The stages of the four flows, each on the state they share (ARCHITECTURE.md)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from pathlib import PurePath
from traceback import extract_tb
from typing import Final

from kaa_epr.engine.api import EngineConfig, FlushCause, Kind
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
from kaa_epr.engine.pure.entry import Entry, from_bson
from kaa_epr.engine.pure.frames import TRACEPARENT, VERSION, header
from kaa_epr.engine.pure.limits import MAX_BUGS
from kaa_epr.engine.pure.output import Output
from kaa_epr.engine.pure.park import Landing, Park, Waiter

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
        self.coherence = Coherence(config.settle_ms, config.foreign_settle_ms)
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
        """Flow 3: entry and mark are gone, flights are cut. Raises DecodeError, having done nothing."""
        endpoint_id = decode_event(kind, payload)
        self._forget(endpoint_id)
        self.park.cut(endpoint_id)
        if header(headers, VERSION) is None:
            self.coherence.foreign_event(endpoint_id, mono_ms)
        self.counters.add(_INVALIDATIONS[kind])

    def landed(self, endpoint_id: str, landing: Landing, document: bytes, now: Now) -> bool:
        """Flow 2: one document arrived; its gets are answered, then it is cached. False when unusable."""
        try:
            entry = from_bson(document, endpoint_id, self._config.mapping)
        except DocumentError:
            self.counters.add("unusable_documents")
            self._forget(endpoint_id)
            self.answer(landing.waiters, UNUSABLE, now)
            return False
        if entry is None:
            self.landed_unknown(endpoint_id, landing, now)
            return True
        self._forget(endpoint_id)
        self.answer(landing.waiters, entry, now)
        cached = landing.cacheable and self.cache.insert(endpoint_id, entry, entry.size, now.mono_ms)
        self.counters.add("void_fills", not cached)
        return True

    def landed_unknown(self, endpoint_id: str, landing: Landing, now: Now) -> None:
        """Flow 2: the store has no such endpoint, or a tombstone."""
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
        """Answers from the cache or from the mark of an unknown endpoint, while that is allowed (rule 4)."""
        if not self.coherence.hearing:
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
        elif self.park.park(waiter, alone=fresh or not self.coherence.hearing):
            self.counters.add("joined")

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
