"""Follows the change stream: MongoDB → reader → the engine's ``invalidate``.

```
           opened anew: what was cached before is dropped
   ┌──────────────────────────────────────────────────────┐
   │                                                      ▼
OPENING ──── opened at the position: nothing is lost ──► OPEN ── answers: each change invalidates its endpoint
   ▲ ▲                                                    │
   │ └── interrupted: the position is kept ───────────────┤
   └──── lost: the cache is dropped, and the position ────┘
```

The position lives as long as the process, so the stream survives gaps of MongoDB and of NATS. While it is not
open, what is cached rests on the first witness alone, as it does without a stream.
"""

from __future__ import annotations

import asyncio
from typing import Final

from kaa_epr import clock
from kaa_epr.backoff import jittered
from kaa_epr.engine.api import Engine, Evidence, FlushCause
from kaa_epr.log import Repeats, get_logger
from kaa_epr.mongo import Store, StoreError
from kaa_epr.mongo.change_stream import ChangeCursor, Changes, Position
from kaa_epr.mongo.errors import ChangeStreamLost, ChangeStreamMoved, CollectionEnded
from kaa_epr.supervised import Supervisor

_log: Final = get_logger(__name__)

RETRY_SECONDS: Final = 0.1
RETRY_SECONDS_MAX: Final = 5.0


class ChangeStreamReader:
    """One stream, for ever. Everything runs on the event loop's thread."""

    def __init__(
        self, engine: Engine, store: Store, time_limit: float, supervisor: Supervisor | None = None
    ) -> None:
        """``time_limit`` in seconds is for one step with the store."""
        self._engine = engine
        self._store = store
        self._time_limit = time_limit
        self._position: Position | None = None
        self._opened_before = False
        self._attempt = 0
        self._answered_ms = clock.mono_ms()
        self.work = (supervisor or Supervisor()).lasting(
            "change_stream", self._run, on_failure=lambda: self._lose("a bug")
        )
        self._failures = Repeats()
        self.problem: str | None = "the change stream was not opened yet"
        """Why it is not open, in words for people; None while it is."""
        self.changes = 0
        self.resumes = 0
        self.restarts = 0
        self.behind_seconds = 0

    @property
    def answer_age_ms(self) -> int:
        """Milliseconds since the store last answered, or since the start."""
        return clock.mono_ms() - self._answered_ms

    async def _run(self) -> None:
        while True:
            try:
                await self._open_and_follow()
            except CollectionEnded as error:
                self._lose(error.reason, FlushCause.COLLECTION_ENDED)
            except ChangeStreamMoved:
                continue
            except ChangeStreamLost as error:
                self._lose(error.reason)
            except StoreError as error:
                self._interrupt(str(error))
            self._attempt += 1
            await asyncio.sleep(jittered(RETRY_SECONDS, RETRY_SECONDS_MAX, self._attempt))

    async def _open_and_follow(self) -> None:
        stream = await self._store.watch(self._position, self._time_limit)
        try:
            self._opened(stream)
            while True:
                answer = await stream.next(self._time_limit)
                self._apply(answer)
                if answer.ended:
                    raise CollectionEnded
        finally:
            await stream.close()

    def _opened(self, stream: ChangeCursor) -> None:
        anew = self._position is None
        if not anew:
            self.resumes += 1
        elif self._opened_before:
            self.restarts += 1
        # Entries of loads that began before now may be of before the stream's beginning.
        if anew and self._engine.stats()["loads"]:
            self._engine.flush(FlushCause.WITNESS_LOST)
        self._position = stream.position
        self._answered_ms = clock.mono_ms()
        self._opened_before = True
        self.problem = None
        _log.info("the change stream is open", resumed=not anew)

    def _apply(self, answer: Changes) -> None:
        """One answer, which is bounded: the loop turns between two."""
        mono_ms = clock.mono_ms()
        for change in answer.changes:
            if change.endpoint_id is None:
                self._engine.flush(FlushCause.WITNESS_LOST)
            else:
                self._engine.invalidate(
                    change.endpoint_id, change.version, Evidence.CHANGE_STREAM, mono_ms=mono_ms
                )
        self.changes += len(answer.changes)
        self.behind_seconds = answer.behind_seconds
        self._position = answer.position
        self._answered_ms = mono_ms
        self._attempt = 0
        self.work.well()

    def _interrupt(self, reason: str) -> None:
        self.problem = reason
        self._failures.warning(_log, "the change stream is interrupted", reason=reason)

    def _lose(self, reason: str, cause: FlushCause = FlushCause.WITNESS_LOST) -> None:
        self.problem = reason
        if self._position is not None:
            self._position = None
            self._engine.flush(cause)
        _log.warning("the change stream is lost: the cache is dropped, it begins anew", reason=reason)
