"""Flows 2 and 3 (ARCHITECTURE.md): loads land, and events void what was cached or is being loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from kaa_epr.engine.api import Evidence, Kind
from kaa_epr.engine.pure.answers import BUG, NOT_FOUND, STORE, UNUSABLE, Failure, Now
from kaa_epr.engine.pure.bson_check import DocumentError
from kaa_epr.engine.pure.checked import DecodeError
from kaa_epr.engine.pure.codec import decode_event
from kaa_epr.engine.pure.entry import Entry, Tombstone, from_bson, id_of, split
from kaa_epr.engine.pure.floors import Found
from kaa_epr.engine.pure.frames import BASE, LEAVING, SEQ, VERSION, WRITER, header
from kaa_epr.engine.pure.gather import Part
from kaa_epr.engine.pure.limits import LOWEST, MAX_RELOADS
from kaa_epr.engine.pure.metadata_diff import DoesNotFit, decode_diff
from kaa_epr.engine.pure.park import Landing, Waiter
from kaa_epr.engine.pure.serving import Serving, attempt
from kaa_epr.engine.pure.writers import Numbered, Signal, numbered, version_of

_MARK_BYTES: Final = 200
"""Charged for the mark of an unknown endpoint beside its ID."""
_INVALIDATIONS: Final = {
    Kind.METADATA_UPDATED: "invalidations_metadata_updated",
    Kind.REGISTERED: "invalidations_registered",
    Kind.UNREGISTERED: "invalidations_unregistered",
    Kind.APP_VERSION_UPDATED: "invalidations_appversion_updated",
}


class Pipeline(Serving):
    """What the engine's methods are made of: ``Serving``, and the stages of events and loads."""

    def event(self, kind: Kind, headers: bytes, payload: bytes, mono_ms: int) -> None:
        """Flow 3: the entry is changed or gone, the mark is gone, flights are cut.

        Raises DecodeError, the event's number judged.
        """
        number = numbered(header(headers, WRITER), header(headers, SEQ), Signal.EVENT)
        self._heard(number, mono_ms)
        endpoint_id = decode_event(kind, payload)
        version = version_of(header(headers, VERSION))
        base = version_of(header(headers, BASE)) if kind is Kind.METADATA_UPDATED and number else None
        if not self._applied(endpoint_id, base, version, payload, mono_ms):
            self._forget(endpoint_id)
        self.park.cut(endpoint_id)
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

    def cached(self, ids: Sequence[str]) -> list[tuple[str, int | None]]:
        """Rule 11: which of ``ids`` are cached and may be served, with their versions."""
        return [(endpoint_id, entry.version) for endpoint_id, entry in self._servable(ids)]

    def fingerprints(self, ids: Sequence[str]) -> list[tuple[str, int]]:
        """Rule 11: which of ``ids`` are cached and may be served, with their fingerprints."""
        return [(endpoint_id, entry.fingerprint) for endpoint_id, entry in self._servable(ids)]

    def _servable(self, ids: Sequence[str]) -> Iterator[tuple[str, Entry]]:
        for endpoint_id in ids if self.coherence.may_serve else ():
            if (entry := self.cache.peek(endpoint_id)) is not None:
                yield endpoint_id, entry

    def fingerprints_of(self, batches: Sequence[bytes]) -> list[tuple[str, int | None, int]]:
        """Rule 11: the endpoints of loaded documents; what is no endpoint, or unusable, is left out."""
        found = []
        for document in (each for batch in batches for each in _undamaged(batch)):
            endpoint_id = id_of(document, self._config.mapping)
            try:
                entry = from_bson(document, endpoint_id or "", self._config.mapping)
            except DocumentError:
                continue
            if isinstance(entry, Entry) and endpoint_id is not None:
                found.append((endpoint_id, entry.version, entry.fingerprint))
        return found

    def land(
        self, endpoint_id: str, landing: Landing[Waiter | Part], document: bytes | None, now: Now
    ) -> bool:
        """Flow 2: one endpoint has landed, with a document or without; False when that is unusable.

        A bug in here costs the gets that have no answer yet a 500, and leaves nothing in the cache.
        """

        def landed() -> bool:
            if document is not None:
                return self._landed(endpoint_id, landing, document, now)
            self._landed_unknown(endpoint_id, Found(absent=True), landing, now)
            return True

        usable = attempt("landing an endpoint", landed)
        if usable is None:
            self._forget(endpoint_id)
            self.answer(landing.take(), BUG, now)
        return bool(usable)

    def _landed(self, endpoint_id: str, landing: Landing[Waiter | Part], document: bytes, now: Now) -> bool:
        """Flow 2: one document arrived; its gets are answered, then it is cached. False when unusable."""
        try:
            entry = from_bson(document, endpoint_id, self._config.mapping)
        except DocumentError:
            self.counters.add("unusable_documents")
            self._forget(endpoint_id)
            self.answer(landing.take(), UNUSABLE, now)
            return False
        if isinstance(entry, Tombstone):
            self._landed_unknown(endpoint_id, Found(entry.version), landing, now)
            return True
        if not self._admits(endpoint_id, Found(entry.version), landing, now):
            self._reload(endpoint_id, landing, now)
            return True
        self._forget(endpoint_id)
        self.answer(landing.take(), entry, now)
        cached = landing.cacheable and self.cache.insert(endpoint_id, entry, entry.size, now.mono_ms)
        self.counters.add("void_fills", not cached)
        return True

    def _landed_unknown(
        self, endpoint_id: str, found: Found, landing: Landing[Waiter | Part], now: Now
    ) -> None:
        """Flow 2: the store has no such endpoint, or a tombstone."""
        if not self._admits(endpoint_id, found, landing, now):
            self._reload(endpoint_id, landing, now)
            return
        self._forget(endpoint_id)
        self.answer(landing.take(), NOT_FOUND, now)
        cached = landing.cacheable and self.unknown.insert(endpoint_id, None, _MARK_BYTES, now.mono_ms)
        self.counters.add("void_fills", not cached)

    def fail(self, waiters: Iterable[Waiter | Part], now: Now) -> None:
        """Flow 2: the store did not answer."""
        self.answer(waiters, STORE, now)

    def abandon(self, load: int, failure: Failure, now: Now) -> None:
        """Flow 2: all gets of a load get the same failure. ValueError when it is not running."""
        ids = self.park.end(load)
        self.counters.add("load_failures")
        for endpoint_id in ids:
            self.answer(self.park.fail(load, endpoint_id), failure, now)

    def _applied(
        self, endpoint_id: str, base: int | None, version: int | None, payload: bytes, mono_ms: int
    ) -> bool:
        """Rule 12: whether the cached entry is that of ``base``, and is now that of ``version``."""
        if base is None or version is None or base >= version:
            return False
        if not (self._config.apply_events and self.coherence.may_serve):
            return False
        entry = self.cache.live(endpoint_id, mono_ms)
        if entry is None or entry.version != base:
            return False
        try:
            amended = entry.amended(decode_diff(payload), version)
        except (DecodeError, DoesNotFit):
            return False
        self.cache.replace(endpoint_id, amended, amended.size)
        self.counters.add("events_applied")
        return True

    def _heard(self, number: Numbered | None, mono_ms: int) -> None:
        if number is not None:
            self.judged(self.coherence.writers.hear(number, mono_ms))

    def _changed(self, endpoint_id: str, version: int | None, mono_ms: int, *, gone: bool) -> None:
        """Rules 6 and 7: a version is a floor from now on; a change without one settles."""
        if version is None:
            self.coherence.foreign_event(endpoint_id, mono_ms)
        else:
            self.coherence.floors.raise_to(endpoint_id, version, mono_ms, gone=gone)

    def _admits(self, endpoint_id: str, found: Found, landing: Landing[Waiter | Part], now: Now) -> bool:
        """Whether this may be answered: rule 6, and nobody was answered with more while the load ran."""
        version = LOWEST if found.absent else found.version
        admitted = self.coherence.floors.admits(endpoint_id, found, now.mono_ms)
        if version is None or not admitted:
            return admitted
        if version < landing.least:
            return False
        self.park.answered_with(endpoint_id, version)
        return True

    def _reload(self, endpoint_id: str, landing: Landing[Waiter | Part], now: Now) -> None:
        """Rule 6: the store returned less than an event told of. Its gets are loaded for again in time."""
        self.counters.add("stale_loads")
        in_time = now.mono_ms < landing.oldest_ms + self._config.store_timeout_ms
        if landing.reloads < MAX_RELOADS and in_time and self.store_up:
            self.park.park_again(endpoint_id, landing)
        else:
            self.answer(landing.take(), STORE, now)

    def _forget(self, endpoint_id: str) -> None:
        """An event, or what a load found, takes the place of whatever was known before."""
        self.cache.remove(endpoint_id)
        self.unknown.remove(endpoint_id)


def _undamaged(batch: bytes) -> Iterator[bytes]:
    """The documents of a batch up to the first whose length is impossible: behind it they have no bounds."""
    with suppress(DocumentError):
        yield from split(batch)
