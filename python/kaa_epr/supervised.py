"""Background work that goes on whatever it meets: named, counted, logged, begun anew, shown by health.

```
                 an exception that nobody expected: logged, counted
   RUNNING ───────────────────────────────────────────────────────► PAUSE
      ▲                                                               │ jittered, twice as long each time
      └───────────────────────────────────────────────────────────────┘
```

``Lasting`` work goes on until it is stopped or returns. ``Passing`` work are pieces that end by themselves;
whoever began one knows what to do when it fails. What a piece of work expects to go wrong (a store that is
away) it handles itself; what comes here is a bug, or data that nobody thought of. Health names the work and
the class of the error, never its text: that may quote values.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from kaa_epr.backoff import jittered
from kaa_epr.log import Repeats, get_logger

_log: Final = get_logger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]


class Pauses(NamedTuple):
    """Seconds before work begins anew: the first time, and at most."""

    first: float
    longest: float


USUAL: Final = Pauses(0.5, 10.0)
QUICK: Final = Pauses(0.05, 0.4)
"""For work that others notice the want of within a second."""
SHOWN_SECONDS: Final = 30.0
"""How long work in pieces counts as failing after one that failed, while none goes well."""


@dataclass(slots=True)
class Record:
    """What became of the work of one name, whoever carries it out now."""

    failures: int = 0
    problem: str | None = None
    """The class of the last error while the work is failing."""
    shown_until: float = math.inf
    """On the monotonic clock: pieces that failed may have no successors that could do better."""

    def failing(self) -> bool:
        """Whether the work counts as failing now."""
        return self.problem is not None and time.monotonic() < self.shown_until


class Supervisor:
    """All background work of one process, or of one part that runs alone."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._repeats = Repeats()

    def lasting(
        self,
        name: str,
        work: Work,
        *,
        on_failure: Callable[[], None] = lambda: None,
        pauses: Pauses = USUAL,
    ) -> Lasting:
        """Work that goes on, not begun yet. ``on_failure`` puts its state into order after a failure."""
        self._record(name)
        return Lasting(self, name, work, on_failure, pauses)

    def passing(self, name: str) -> Passing:
        """Work that comes in pieces, each of which ends by itself."""
        self._record(name)
        return Passing(self, name)

    def _record(self, name: str) -> Record:
        return self._records.setdefault(name, Record())

    def failed(self, name: str, error: BaseException, shown: float = math.inf) -> None:
        """Work of this name met an error that it did not expect; it is failing for ``shown`` seconds."""
        record = self._record(name)
        record.failures += 1
        record.problem = type(error).__name__
        record.shown_until = time.monotonic() + shown
        suppressed = self._repeats.allow((name, record.problem))
        if suppressed is not None:
            more = {"suppressed": suppressed} if suppressed else {}
            _log.error("background work failed", task=name, kind=record.problem, exc_info=error, **more)

    def well(self, name: str) -> None:
        """Work of this name does what it should."""
        self._record(name).problem = None

    def problem(self) -> str | None:
        """Which work is failing and the class of its error, for health; None when all is well."""
        failing = [f"{name}: {each.problem}" for name, each in self._records.items() if each.failing()]
        return ", ".join(failing) or None

    def numbers(self) -> dict[str, dict[tuple[str, ...], int]]:
        """For metrics: errors that were not expected, by task, and 1 for each task that is failing now."""
        return {
            "task_failures": {(name,): each.failures for name, each in self._records.items()},
            "task_failing": {(name,): int(each.failing()) for name, each in self._records.items()},
        }


class Lasting:
    """One task that goes on. ``start`` and ``stop`` once each, on the same loop."""

    def __init__(
        self, supervisor: Supervisor, name: str, work: Work, on_failure: Callable[[], None], pauses: Pauses
    ) -> None:
        self._supervisor = supervisor
        self._name = name
        self._work = work
        self._on_failure = on_failure
        self._pauses = pauses
        self._attempt = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    def well(self) -> None:
        """For the work itself: a round of it went as it should, so it is not failing any more."""
        self._attempt = 0
        self._supervisor.well(self._name)

    @property
    def running(self) -> bool:
        """Whether it was begun and has not ended."""
        return self._task is not None and not self._task.done()

    async def ended(self, seconds: float) -> bool:
        """Waits until the work has returned by itself, at most ``seconds``; whether it has."""
        if self._task is None:
            return True
        await asyncio.wait({self._task}, timeout=seconds)
        return self._task.done()

    def cancel(self) -> None:
        """Tells it to end, and does not wait for that."""
        if self._task is not None:
            self._task.cancel()
        self._supervisor.well(self._name)

    async def stop(self) -> None:
        """Ends it, if it was begun."""
        self.cancel()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while await self._fails(self._work):
            await self._fails(self._put_into_order)
            self._attempt += 1
            await asyncio.sleep(jittered(*self._pauses, self._attempt))
        self.well()

    async def _fails(self, work: Work) -> bool:
        try:
            await work()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled this task: something that it waited for was cancelled.
            self._supervisor.failed(self._name, error)
        except Exception as error:  # noqa: BLE001 - the outermost boundary of background work
            self._supervisor.failed(self._name, error)
        else:
            return False
        return True

    async def _put_into_order(self) -> None:
        self._on_failure()


class Passing:
    """Pieces of work of one name, any number at a time."""

    def __init__(self, supervisor: Supervisor, name: str) -> None:
        self._supervisor = supervisor
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begins one piece. Its task is done when the piece is; a bug in it is told of here."""
        task = asyncio.get_running_loop().create_task(work, name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def stop(self) -> None:
        """Ends all of them."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is None:
            self._supervisor.well(self._name)
        else:
            self._supervisor.failed(self._name, error, SHOWN_SECONDS)
