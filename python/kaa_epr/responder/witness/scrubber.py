"""Compares a few random cached entries a second with the store.

An entry that differs is *suspected*: the event that will drop it may be on its way. It stays cached, since
dropping it would hide what is looked for, and is looked at again later than any event takes. If the same
entry is still there and still differs, it is *proven* stale: no event came. It is dropped and logged.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final, NamedTuple

from kaa_epr import clock
from kaa_epr.backoff import jittered
from kaa_epr.engine.api import Engine, Evidence
from kaa_epr.log import Repeats, get_logger
from kaa_epr.mongo import Store, StoreError
from kaa_epr.supervised import Supervisor

_log: Final = get_logger(__name__)

LONGEST_ROUND_SECONDS: Final = 4 / 3
"""Rounds take from half of this to this: a second on average."""
EVENT_SECONDS: Final = 5.0
"""Later than any event takes: a lost one is noticed after 1.5 s (rule 5), and the cache flushed."""
MAX_SUSPECTS: Final = 1024
"""Entries to be looked at again; while there are so many, no others are looked at."""


class Stored(NamedTuple):
    """An endpoint as the store has it."""

    version: int | None
    fingerprint: int
    """What that of its entry should be."""


class Suspect(NamedTuple):
    """An entry that differed."""

    fingerprint: int
    """As it was cached."""
    due_ms: int
    """When to look again."""


class Scrubber:
    """One background task. Everything runs on the event loop's thread."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        per_second: int,
        time_limit: float,
        *,
        store_up: Callable[[], bool],
        supervisor: Supervisor | None = None,
        event_seconds: float = EVENT_SECONDS,
    ) -> None:
        """``time_limit`` in seconds for one comparison; while ``store_up`` says no, nothing is compared.

        ``event_seconds``: how long after the first look the second comes at the earliest.
        """
        self._engine = engine
        self._store = store
        self._per_round = per_second
        self._time_limit = time_limit
        self._store_up = store_up
        self._event_ms = round(event_seconds * 1000)
        self._suspects: dict[str, Suspect] = {}
        self.work = (supervisor or Supervisor()).lasting(
            "scrubber", self._run, on_failure=self._suspects.clear
        )
        self._failures, self._proofs = Repeats(), Repeats()
        self.same = 0
        """First looks that found no difference."""
        self.suspected = self.cleared = self.proven = 0

    async def _run(self) -> None:
        while True:
            # From a half to the whole: replicas do not ask together.
            await asyncio.sleep(jittered(LONGEST_ROUND_SECONDS, LONGEST_ROUND_SECONDS, 1))
            if not self._store_up():
                continue
            try:
                await self.scrub()
            except StoreError as error:
                self._failures.warning(_log, "entries could not be compared", reason=str(error))
            self.work.well()

    async def scrub(self) -> None:
        """One round: one question to the store, for new entries and suspects whose time has come."""
        now_ms = clock.mono_ms()
        due = {id_: each.fingerprint for id_, each in self._suspects.items() if each.due_ms <= now_ms}
        room = min(self._per_round, MAX_SUSPECTS - len(self._suspects))
        drawn = self._engine.sample(room, random.getrandbits(64)) if room > 0 else []
        fresh = self._engine.fingerprints([id_ for id_, _ in drawn if id_ not in self._suspects])
        ids = [*due, *(id_ for id_, _ in fresh)]
        if not ids:
            return
        batches = await self._store.load(ids, self._time_limit)
        found = self._engine.fingerprints_of(batches)
        stored = {id_: Stored(version, fingerprint) for id_, version, fingerprint in found}
        # As they are now: what changed since it was drawn is no finding.
        cached = dict(self._engine.fingerprints(ids))
        for id_, fingerprint in due.items():
            del self._suspects[id_]
            self._judge(id_, fingerprint, cached.get(id_), stored.get(id_))
        for id_, fingerprint in fresh:
            if cached.get(id_) == fingerprint:
                self._look(id_, fingerprint, stored.get(id_))

    def _look(self, id_: str, fingerprint: int, stored: Stored | None) -> None:
        if is_same(fingerprint, stored):
            self.same += 1
        else:
            self.suspected += 1
            self._suspects[id_] = Suspect(fingerprint, clock.mono_ms() + self._event_ms)

    def _judge(self, id_: str, fingerprint: int, now: int | None, stored: Stored | None) -> None:
        """``now``: the fingerprint that is cached now, None for no entry."""
        if now != fingerprint or is_same(fingerprint, stored):
            self.cleared += 1
            return
        self.proven += 1
        ((_, version),) = self._engine.cached([id_])
        newer = None if stored is None else stored.version
        if newer is not None and version is not None and newer <= version:
            # Changed without a version, or somebody set that back: no floor may keep it from being loaded.
            newer = None
        self._engine.invalidate(id_, newer, Evidence.PROOF, mono_ms=clock.mono_ms())
        self._proofs.warning(
            _log,
            "a cached endpoint was stale and no event had come",
            endpoint_id=id_,
            cached_version=version,
            stored_version=None if stored is None else stored.version,
        )


def is_same(fingerprint: int, stored: Stored | None) -> bool:
    """Whether the store has what is cached; what it does not have was deleted, or is unusable now."""
    return stored is not None and stored.fingerprint == fingerprint
