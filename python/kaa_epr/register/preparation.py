"""What the register needs in the store before it writes: indexes, made in the background.

```
             the collection is as it should be, or can be made so       all indexes are there
  LOOKING ─────────────────────────────────────────────────────► BUILDING ────────────────► DONE
     ▲  │                                                            │
     │  └─ not ours, or another index stands in the way: REFUSED     │
     └──────── the store is away, or refuses: again after a pause ◄──┘
```

Building an index over millions of documents takes minutes. Reads are answered meanwhile; writes are refused
and told why. A stop does not wait: MongoDB goes on by itself, and who starts next waits for the same build.
"""

from __future__ import annotations

import asyncio
from typing import Final

from kaa_epr.backoff import jittered
from kaa_epr.log import Repeats, get_logger
from kaa_epr.mongo.errors import StoreError, StoreTimeout, StoreUnavailable
from kaa_epr.mongo.indexes import IndexConflict, build_indexes, look_for_indexes
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.supervised import Pauses, Supervisor

_log = get_logger(__name__)

BUILDING: Final = "indexes are being built"
_AWAY_PAUSES: Final = Pauses(0.5, 5.0)
"""Seconds between attempts while the store is away."""
_REFUSED_PAUSES: Final = Pauses(10.0, 300.0)
"""Before a collection that was refused is looked at again: somebody may have mended it. A build that fails
may have read all of it."""
_SECONDS: Final = 10.0
"""For each step but the building."""


class Preparation:
    """Goes on until all is there."""

    def __init__(self, store: RegisterStore, supervisor: Supervisor) -> None:
        self._store = store
        self._work = supervisor.lasting("indexes", self._run)
        self._repeats = Repeats()
        self._looked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._done = asyncio.Event()
        self.problem: str | None = "the indexes have not been looked at yet"
        """Why the register cannot write yet, in words for people; None once it can."""

    def start(self) -> None:
        """Begins. Raises ``ForeignCollection`` where the settings say that the documents are another's."""
        self._store.require_own_documents()
        self._work.start()

    async def wait(self, seconds: float) -> None:
        """Until the collection was looked at, or could not be, and ``seconds`` more for all to be there.

        Raises ``IndexConflict`` when that is what it found.
        """
        await asyncio.shield(self._looked)
        try:
            async with asyncio.timeout(seconds):
                await self._done.wait()
        except TimeoutError:
            _log.warning("the register is not ready yet", problem=self.problem)

    async def stop(self) -> None:
        """Ends; what MongoDB is building, it goes on building."""
        await self._work.stop()

    async def _run(self) -> None:
        attempt = 0
        while self.problem is not None:
            attempt += 1
            try:
                await self._prepare()
            except (StoreUnavailable, StoreTimeout) as error:
                pause = jittered(*_AWAY_PAUSES, attempt)
                self.problem = f"the indexes are not verified, since {error}"
                self._repeats.warning(_log, "the register waits for the store", error=str(error))
                self._found(None)
            except StoreError as error:
                pause = jittered(*_REFUSED_PAUSES, attempt)
                self.problem = _why_refused(error)
                self._repeats.warning(_log, "the register cannot use this collection", error=str(error))
                self._found(error)
            else:
                self.problem = None
                self._done.set()
                break
            self._work.well()
            await asyncio.sleep(pause)

    async def _prepare(self) -> None:
        found = await look_for_indexes(self._store)
        self._found(None)
        self.problem = BUILDING
        names = [spec.name for spec in found.missing]
        if names:
            _log.info("building indexes", names=names)
        await build_indexes(self._store, found)
        await self._store.ensure_tasks(_SECONDS)
        await self._store.ensure_requests(_SECONDS)
        if names:
            _log.info("made indexes", names=names)

    def _found(self, error: StoreError | None) -> None:
        if self._looked.done():
            return
        if isinstance(error, IndexConflict):
            self._looked.set_exception(error)
            # Whoever starts the service may have stopped it before it asked.
            self._looked.exception()
        else:
            self._looked.set_result(None)


def _why_refused(error: StoreError) -> str:
    if isinstance(error, IndexConflict):
        return f"the collection has an index that stands in the way of {error.name}"
    return str(error)
