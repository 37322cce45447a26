"""Forgets unregistered endpoints after a time: by one replica at a time, in bounded batches.

An endpoint registered again after its tombstone is gone begins at version 1. No cache can take that for an
older state: entries and floors live for ``cache.max_age``, and the retention is at least twice that. An
``If-Match`` of before the deletion, kept for longer than the retention, may match again.
"""

from __future__ import annotations

import asyncio
from typing import Final

from kaa_epr.log import Repeats, get_logger
from kaa_epr.mongo.errors import StoreError
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

INTERVAL: Final = 60.0
"""Seconds between two purges, of whichever replica."""
_BATCH: Final = 1000
_MAX_BATCHES: Final = 100
"""Of one purge; what is left waits for the next."""
_PAUSE: Final = 0.1
"""Seconds between two batches: writes of users go first."""


class Purge:
    """One background task."""

    def __init__(
        self,
        store: RegisterStore,
        retention: float,
        seconds: float,
        supervisor: Supervisor | None = None,
        interval: float = INTERVAL,
    ) -> None:
        """``retention`` in seconds, 0: nothing is forgotten; ``seconds``: for each step with the store."""
        self._store = store
        self._retention = retention
        self._seconds = seconds
        self._interval = interval
        self._work = (supervisor or Supervisor()).lasting("purge", self._run)
        self._repeats = Repeats()
        self.purged = 0
        """Tombstones deleted."""

    def start(self) -> None:
        """Begins, if anything is to be forgotten at all."""
        if self._retention:
            self._work.start()

    async def stop(self) -> None:
        """Ends; a batch under way is deleted or not, and both are fine."""
        await self._work.stop()

    async def _run(self) -> None:
        while True:
            try:
                if await self._store.claim_purge(self._interval, self._seconds):
                    await self.purge()
            except StoreError as error:
                self._repeats.warning(_log, "tombstones could not be purged", error=str(error))
            self._work.well()
            # Somewhat longer than the claim, or the one who had it would be too early for the next.
            await asyncio.sleep(self._interval * 1.05)

    async def purge(self) -> int:
        """Deletes what is old enough, up to a bound; how many. Raises StoreError."""
        total = 0
        for _ in range(_MAX_BATCHES):
            deleted = await self._store.purge_tombstones(self._retention, _BATCH, self._seconds)
            total += deleted
            self.purged += deleted
            if deleted < _BATCH:
                break
            await asyncio.sleep(_PAUSE)
        if total:
            _log.info("purged tombstones", endpoints=total)
        return total
