"""Flow 1: requests are decoded, and answered from what is cached or parked until it is loaded."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import PurePath
from traceback import extract_tb
from typing import Final, TypeVar

from kaa_epr.engine.api import EngineConfig, FlushCause, Kind
from kaa_epr.engine.pure.answers import (
    BUG,
    BUSY,
    NOT_FOUND,
    STORE,
    Desk,
    Envelope,
    Failure,
    Now,
    Outcome,
    envelope_of,
)
from kaa_epr.engine.pure.cache import BoundedCache, Miss
from kaa_epr.engine.pure.checked import Malformed
from kaa_epr.engine.pure.codec import (
    AppVersionsRequest,
    GetRequest,
    KeysGetRequest,
    decode_app_versions,
    decode_get,
    decode_keys_get,
)
from kaa_epr.engine.pure.coherence import Coherence
from kaa_epr.engine.pure.counters import Counters
from kaa_epr.engine.pure.entry import Entry
from kaa_epr.engine.pure.frames import TRACEPARENT, header
from kaa_epr.engine.pure.gather import Gather, Part
from kaa_epr.engine.pure.limits import MAX_BUGS
from kaa_epr.engine.pure.output import Output
from kaa_epr.engine.pure.park import Park, Waiter
from kaa_epr.engine.pure.writers import Verdict
from kaa_epr.reply import may_answer_to

_COUNTED: Final = {
    Kind.GET: ("requests",),
    Kind.KEYS_GET: ("requests", "requests_keys_get"),
    Kind.APP_VERSIONS: ("requests", "requests_app_versions"),
}
_log = logging.getLogger(__name__)
T = TypeVar("T")


def attempt(doing: str, work: Callable[[], T], **fields: str) -> T | None:
    """What ``work`` returns, or None when it met a bug, which is logged: the outermost boundary.

    The log has the place and the kind of the error only: error texts of codecs may hold metadata values.
    """
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - a bug costs who met it a 500, and nobody else anything
        frame = extract_tb(error.__traceback__)[-1]
        place = f"{PurePath(frame.filename).name}:{frame.lineno}"
        _log.error("%s failed: %s at %s", doing, type(error).__name__, place, extra=fields)
        return None


class Serving:
    """The state that all flows share, and the stages from a request to its answer."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self.counters = Counters()
        self.output = Output(config.max_held_bytes, config.held_max_age_ms)
        self.desk = Desk(self.output, self.counters)
        self.park: Park[Waiter | Part] = Park(config.max_pending, config.max_pending_bytes)
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

    def get(self, kind: Kind, reply: bytes, headers: bytes, payload: bytes, now: Now, *, fresh: bool) -> None:
        """Flow 1 in the README's order of answers: replyTo, decoding, expiry, cache; then ``_miss``."""
        for name in _COUNTED[kind]:
            self.counters.add(name)
        if not may_answer_to(reply):
            self.counters.add("requests_bad_reply" if reply else "requests_no_reply")
            return
        self.judged(self.coherence.passed(now.mono_ms))
        traceparent = header(headers, TRACEPARENT)
        try:
            request = self._decode(kind, payload)
        except Malformed as malformed:
            self._refuse(kind, malformed, reply, traceparent, now)
            return
        waiter = Waiter(request, reply, traceparent, now.mono_ms, len(payload))
        if request.expired(now.wall_ms):
            self.counters.add("requests_expired")
        elif isinstance(request, AppVersionsRequest):
            self._gather(Gather(waiter, request.endpoint_ids), now, fresh=fresh)
        elif fresh or not self._hit(request.endpoint_id, waiter, now):
            self._miss(request.endpoint_id, waiter, now, fresh=fresh)

    def _decode(self, kind: Kind, payload: bytes) -> GetRequest | KeysGetRequest | AppVersionsRequest:
        if kind is Kind.KEYS_GET:
            return decode_keys_get(payload)
        if kind is Kind.APP_VERSIONS:
            return decode_app_versions(payload)
        return decode_get(payload, self._config.plain_revision)

    def judged(self, verdict: Verdict) -> None:
        """Rule 5: what a verdict demands."""
        self.counters.add("events_lost", verdict.lost)
        self.counters.add("events_late", verdict.late)
        if verdict.flush is not None:
            self.flush(verdict.flush)

    def forget_all(self) -> None:
        """A new epoch: nothing is cached, and nothing that runs will be."""
        self.cache.clear()
        self.unknown.clear()
        self.park.cut_all()

    def flush(self, cause: FlushCause) -> None:
        """A new epoch, counted by its cause."""
        if cause in (FlushCause.OPERATOR, FlushCause.COLLECTION_ENDED):
            self.coherence.floors.clear()
        self.coherence.flushed()
        self.forget_all()
        self.counters.add(f"flushes_{cause.name.lower()}")

    def answer(self, waiters: Iterable[Waiter | Part], outcome: Entry | Failure, now: Now) -> None:
        """Answers gets that waited, unless they expired meanwhile."""
        for waiter in waiters:
            if isinstance(waiter, Part):
                self._land_part(waiter, outcome, now)
            else:
                self._answer_late(waiter, outcome, now)

    def _answer_late(self, waiter: Waiter, outcome: Outcome, now: Now) -> None:
        self.counters.wait_ms.observe(max(now.mono_ms - waiter.arrived_ms, 0))
        if waiter.request.expired(now.wall_ms):
            self.counters.add("requests_expired")
        else:
            self._answer_one(waiter, outcome, now)

    def _refuse(
        self, kind: Kind, malformed: Malformed, reply: bytes, traceparent: bytes | None, now: Now
    ) -> None:
        """400; of a get in its own revision where it can be told."""
        own = {True: 3, False: self._config.plain_revision, None: self._config.default_revision}
        envelope = Envelope(
            reply=reply,
            traceparent=traceparent,
            correlation_id=malformed.correlation_id,
            kind=kind,
            endpoint_id=malformed.endpoint_id,
            revision=own[malformed.flag],
        )
        self.desk.fail(envelope, Failure(400, malformed.error.cause.value), now)

    # --- one endpoint ---------------------------------------------------------------------------------------
    def _look_up(self, endpoint_id: str, now: Now) -> Entry | Failure | None:
        """What the cache or the mark of an unknown endpoint says, while that may be used."""
        if not self.coherence.may_serve:
            return None
        entry = self.cache.get(endpoint_id, now.mono_ms)
        if isinstance(entry, Entry):
            self.counters.add("hits")
            return entry
        mark = self.unknown.get(endpoint_id, now.mono_ms)
        self.counters.add("expirations", (entry is Miss.EXPIRED) + (mark is Miss.EXPIRED))
        if mark is None:
            self.counters.add("unknown_hits")
            return NOT_FOUND
        return None

    def _hit(self, endpoint_id: str, waiter: Waiter, now: Now) -> bool:
        """Answers from what is cached."""
        found = self._look_up(endpoint_id, now)
        if found is None:
            return False
        self._answer_one(waiter, found, now)
        return True

    def _miss(self, endpoint_id: str, waiter: Waiter, now: Now, *, fresh: bool) -> None:
        """Flow 2: the get waits for a load, unless too much waits already or the store is down."""
        self.counters.add("misses")
        failure = self._obstacle(1, waiter.size)
        if failure is not None:
            self._answer_one(waiter, failure, now)
        else:
            self._park(endpoint_id, waiter, fresh=fresh)

    def _obstacle(self, waiters: int, size: int) -> Failure | None:
        """Why so many gets of so many bytes may not wait."""
        if not self.park.admits(waiters, size):
            return BUSY
        return None if self.store_up else STORE

    def _park(self, endpoint_id: str, waiter: Waiter | Part, *, fresh: bool) -> None:
        joined = self.park.park(endpoint_id, waiter, alone=fresh or not self.coherence.may_serve)
        self.counters.add("joined", joined)

    # --- several endpoints ----------------------------------------------------------------------------------
    def _gather(self, gather: Gather, now: Now, *, fresh: bool) -> None:
        """Answers if all endpoints are cached, else parks one get for each that is not."""
        for endpoint_id in () if fresh else gather.ids:
            if (found := self._look_up(endpoint_id, now)) is not None:
                gather.put(endpoint_id, found.app_version if isinstance(found, Entry) else None)
        if gather.complete:
            self._answer_one(gather.waiter, gather.groups(), now)
            return
        parts = [Part(gather, endpoint_id) for endpoint_id in gather.missing]
        self.counters.add("misses", len(parts))
        failure = self._obstacle(len(parts), gather.bytes + sum(part.size for part in parts))
        if failure is not None:
            self._answer_one(gather.waiter, failure, now)
            return
        self.park.charge(gather.bytes)
        for part in parts:
            self._park(part.endpoint_id, part, fresh=fresh)

    def _land_part(self, part: Part, outcome: Entry | Failure, now: Now) -> None:
        """One missing endpoint has landed; a failure of it is a failure of the whole request."""
        gather = part.gather
        if gather.closed:
            return
        failure: Failure | None = None
        if isinstance(outcome, Entry) or outcome is NOT_FOUND:
            version = outcome.app_version if isinstance(outcome, Entry) else None
            added = gather.put(part.endpoint_id, version)
            if not gather.complete and not self.park.admits(0, added):
                failure = BUSY
            self.park.charge(added)
        else:
            failure = outcome
        if gather.complete or failure is not None:
            gather.closed = True
            self.park.charge(-gather.bytes)
            self._answer_late(gather.waiter, failure or gather.groups(), now)

    def _answer_one(self, waiter: Waiter, outcome: Outcome, now: Now) -> None:
        """Makes one answer. A bug in there costs this get a 500 and no other anything."""
        if outcome is BUG:
            self.bugs.append(waiter.request.correlation_id)
        correlation_id = waiter.request.correlation_id

        def answered() -> bool:
            self.desk.answer(waiter, outcome, now)
            return True

        if attempt("answering a get", answered, correlation_id=correlation_id) is None:
            self.bugs.append(correlation_id)
            self.desk.fail(envelope_of(waiter), BUG, now)
