"""Flow 2, the miss: flights parked in the engine → one ``$in`` → the engine again → bytes out.

No timer gathers misses. While fewer than ``AT_ONCE`` loads are in flight a miss goes out at once; with as
many, misses queue up in the engine and leave together when one of them ends. Further loads, up to
``store.max_loads``, begin only full: a good part of what a load costs, here and at the server, is its own and
not its ids'.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from kaa_epr import clock
from kaa_epr.config.groups import StoreSettings
from kaa_epr.engine.api import Engine, FlushCause
from kaa_epr.log import Repeats, get_logger
from kaa_epr.metrics import StoreStats
from kaa_epr.mongo import Store, StoreError, StoreOverloaded, StoreTimeout
from kaa_epr.responder.breaker import Breaker, BreakerState
from kaa_epr.supervised import QUICK, Supervisor

_log: Final = get_logger(__name__)

TICK_SECONDS: Final = 0.1
"""How often the engine looks for what is overdue, and the breaker for a probe that is due. Misses that waited
from one time to the next wait no more for a full load."""
AT_ONCE: Final = 2
"""Loads that begin with however few ids: one is on its way while the other is answered. Four loads of 256 ids
took a quarter more CPU an id, in driver and servers together, than two of 512."""
_LINE_SECONDS: Final = 1.0
_IDS_IN_LINE: Final = 10
"""Unusable documents are logged in at most one line a second of ten ids, each id every ten seconds."""


class Loader:
    """Drives the loads of one engine. Everything runs on the event loop's thread."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        settings: StoreSettings,
        write_out: Callable[[bytes], None],
        *,
        supervisor: Supervisor | None = None,
        observe_load: Callable[[float], None] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """``write_out`` takes the engine's answers; ``observe_load`` the seconds of each load, well or not.

        ``chance`` (0 to 1) spreads the probes of many replicas.
        """
        self._engine = engine
        self._store = store
        self._time_limit = settings.timeout
        self._batch_size = settings.batch_size
        self._max_loads = settings.max_loads
        self._write_out = write_out
        self._observe_load = observe_load
        self._chance = chance
        self._breaker = Breaker(
            trip_after=settings.trip_after, probe_interval_ms=round(settings.probe_interval * 1000)
        )
        supervisor = supervisor or Supervisor()
        self._ticks = supervisor.lasting("loader", self._tick_on, pauses=QUICK)
        self._loading = supervisor.passing("loads")
        self._probing = supervisor.passing("store_probe")
        self._loads: dict[asyncio.Task[None], int] = {}
        self._unsettled: set[int] = set()
        self._stopped = False
        self._waited = False
        self._nothing_pends: asyncio.Event | None = None
        self._down_since = 0.0
        self._failures = Repeats()
        self._unusable_ids = Repeats()
        self._unusable_lines = Repeats(_LINE_SECONDS)

    # --- what others call -----------------------------------------------------------------------------------
    def start(self) -> None:
        """Begins to tick, on the running loop."""
        self._store.on_primary_changed(self._flush_after_new_primary)
        self._ticks.start()

    def kick(self) -> None:
        """The engine has queued flights: begins the loads that need not wait for more of them."""
        while len(self._loads) < AT_ONCE or self._engine.queued() >= self._batch_size:
            if not self._begin_load():
                return

    def _begin_load(self) -> bool:
        """One load of what is queued; false where none may begin."""
        if len(self._loads) >= self._max_loads or not self._breaker.closed or self._stopped:
            return False
        begun = self._engine.begin_load(self._batch_size, clock.mono_ms())
        if begun is None:
            return False
        task = self._loading.run(self._load(*begun))
        self._loads[task] = begun[0]
        self._unsettled.add(begun[0])
        task.add_done_callback(self._load_ended)
        return True

    async def drain(self, seconds: float) -> bool:
        """Waits until no get waits for a load, while no new ones come; false when ``seconds`` did not do."""
        self._nothing_pends = asyncio.Event()
        self._write_answers()
        try:
            async with asyncio.timeout(seconds):
                await self._nothing_pends.wait()
        except TimeoutError:
            return False
        finally:
            self._nothing_pends = None
        return True

    async def stop(self) -> None:
        """Ends ticking and loading; gets that still wait for loads are answered 503."""
        self._stopped = True
        self._store.on_primary_changed(_nobody_cares)
        # Those that wait for a load which did not begin are answered at once, as while the store is down.
        self._tell_engine(up=False)
        await self._ticks.stop()
        await self._probing.stop()
        await self._loading.stop()

    @property
    def state(self) -> BreakerState:
        """The breaker's."""
        return self._breaker.state

    @property
    def in_flight(self) -> int:
        """Loads in flight."""
        return len(self._loads)

    def stats(self) -> StoreStats:
        """For the metrics."""
        return StoreStats(
            up=self._breaker.closed,
            trips=self._breaker.trips,
            probes=self._breaker.probes,
            abandoned_loads=self._store.abandoned,
        )

    # --- one load -------------------------------------------------------------------------------------------
    async def _load(self, load: int, ids: list[str]) -> None:
        began = time.monotonic()
        try:
            batches = await self._store.load(ids, self._time_limit)
        except StoreError as error:
            self._fail(load)
            self._count_failure(error, len(ids))
        else:
            self._unsettled.discard(load)
            unusable = self._engine.end_load(load, batches, wall_ms=clock.wall_ms(), mono_ms=clock.mono_ms())
            self._breaker.load_succeeded()
            self._report_unusable(unusable)
        finally:
            if self._observe_load is not None:
                self._observe_load(time.monotonic() - began)
            self._write_answers()

    def _load_ended(self, task: asyncio.Task[None]) -> None:
        load = self._loads.pop(task)
        if load in self._unsettled:
            # Cancelled by ``stop``, perhaps before its first step, or a bug: whoever waits must hear of it.
            self._fail(load)
            self._write_answers()
        if not task.cancelled():
            self.kick()

    def _fail(self, load: int) -> None:
        self._unsettled.discard(load)
        self._engine.fail_load(load, wall_ms=clock.wall_ms(), mono_ms=clock.mono_ms())

    def _write_answers(self) -> None:
        out = self._engine.take_output()
        if out:
            self._write_out(out)
        if self._nothing_pends is not None and not self._engine.pending():
            self._nothing_pends.set()

    def _report_unusable(self, ids: list[str]) -> None:
        if not ids or self._unusable_lines.allow(None) is None:
            return
        shown = [id_ for id_ in ids[:_IDS_IN_LINE] if self._unusable_ids.allow(id_) is not None]
        if shown:
            _log.warning("stored endpoints are unusable", endpoint_ids=shown, in_this_load=len(ids))

    # --- the breaker ----------------------------------------------------------------------------------------
    def _count_failure(self, error: StoreError, gets: int) -> None:
        self._failures.warning(_log, "a load failed", reason=str(error), endpoints=gets)
        # What took too long once takes every get that meets it ``store.timeout``; refusals come quickly.
        enough = isinstance(error, StoreTimeout | StoreOverloaded)
        if self._breaker.load_failed(clock.mono_ms(), enough=enough):
            self._down_since = time.monotonic()
            _log.error("the store is down: misses are answered 503", reason=str(error))
            self._tell_engine(up=False)
            self._probe_if_due()

    def _probe_if_due(self) -> None:
        if self._breaker.probe_due(clock.mono_ms()):
            self._probing.run(self._ask_whether_back())

    async def _ask_whether_back(self) -> None:
        try:
            await self._store.ping(self._time_limit)
        except StoreError as error:
            self._failures.warning(_log, "the store is still down", reason=str(error))
            self._breaker.probe_failed(clock.mono_ms(), self._chance())
        except BaseException:
            self._breaker.probe_failed(clock.mono_ms(), self._chance())
            raise
        else:
            self._breaker.probe_succeeded()
            _log.info("the store is back", down_seconds=round(time.monotonic() - self._down_since, 3))
            self._tell_engine(up=True)
            self.kick()

    def _tell_engine(self, *, up: bool) -> None:
        self._engine.store_up(up, wall_ms=clock.wall_ms(), mono_ms=clock.mono_ms())
        self._write_answers()

    # --- upkeep ---------------------------------------------------------------------------------------------
    async def _tick_on(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._tick()
            self._ticks.well()

    def _tick(self) -> None:
        self._engine.tick(wall_ms=clock.wall_ms(), mono_ms=clock.mono_ms())
        self._write_answers()
        self._probe_if_due()
        self._begin_waiting()

    def _begin_waiting(self) -> None:
        """What has waited for a tick's time waits no more for a full batch: the loads in flight may hang."""
        waited, self._waited = self._waited, self._engine.queued() > 0
        while waited and self._begin_load():
            pass

    def _flush_after_new_primary(self) -> None:
        _log.warning("the store has a new primary: the cache is dropped")
        self._engine.flush(FlushCause.STORE_PRIMARY_CHANGED)


def _nobody_cares() -> None:
    """In place of a stopped loader, which the store would keep alive otherwise."""
