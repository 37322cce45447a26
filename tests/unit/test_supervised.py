"""Background work survives what it did not expect, and is told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from kaa_epr import supervised
from kaa_epr.supervised import Pauses, Supervisor

PATIENCE = 10.0
AT_ONCE = Pauses(0.0, 0.0)
SECRET = "a stored value"


class Work:
    """Fails as often as told, then goes on until it is ended."""

    def __init__(self, fail: Callable[[], None], times: int) -> None:
        self._fail = fail
        self._left = times
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        self.begun.put_nowait(self._left)
        if self._left:
            self._left -= 1
            await asyncio.ensure_future(self._failing())
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def _failing(self) -> None:
        self._fail()

    async def begins(self, times: int) -> list[int]:
        async with asyncio.timeout(PATIENCE):
            return [await self.begun.get() for _ in range(times)]


def _raise(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ValueError(SECRET), id="a bug"),
        pytest.param(asyncio.CancelledError(SECRET), id="what it waits for is cancelled by somebody else"),
        pytest.param(TimeoutError(SECRET), id="a time-out"),
    ],
)
async def test_work_begins_anew_and_all_is_told_but_the_text(error: BaseException) -> None:
    supervisor, work, told = Supervisor(), Work(_raise(error), 2), asyncio.Queue[None]()
    lasting = supervisor.lasting(
        "something", work.run, on_failure=lambda: told.put_nowait(None), pauses=AT_ONCE
    )
    with capture_logs() as lines:
        lasting.start()
        assert await work.begins(3) == [2, 1, 0]
    name = type(error).__name__
    assert [(line["task"], line["kind"]) for line in lines] == [("something", name)], "one line of two"
    assert told.qsize() == 2
    assert supervisor.problem() == f"something: {name}"
    assert supervisor.numbers()["task_failures"] == {("something",): 2}
    assert supervisor.numbers()["task_failing"] == {("something",): 1}
    lasting.well()
    assert supervisor.problem() is None
    assert supervisor.numbers()["task_failing"] == {("something",): 0}
    await lasting.stop()
    assert work.ended.is_set()
    assert not lasting.running


async def test_pauses_grow_until_a_round_went_well(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []

    def note(_first: float, _longest: float, attempt: int) -> float:
        attempts.append(attempt)
        return 0.0

    monkeypatch.setattr(supervised, "jittered", note)
    done = asyncio.Event()

    async def work() -> None:
        if len(attempts) == 3:
            lasting.well()
        if len(attempts) == 5:
            done.set()
            await asyncio.Event().wait()
        raise RuntimeError

    lasting = Supervisor().lasting("something", work)
    lasting.start()
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    assert attempts == [1, 2, 3, 1, 2]
    await lasting.stop()


async def test_a_bug_in_putting_things_into_order_ends_nothing() -> None:
    supervisor, work = Supervisor(), Work(_raise(ValueError()), 1)
    lasting = supervisor.lasting("something", work.run, on_failure=_raise(KeyError()), pauses=AT_ONCE)
    lasting.start()
    await work.begins(2)
    assert supervisor.numbers()["task_failures"] == {("something",): 2}
    await lasting.stop()


async def test_a_stop_in_the_pause_is_the_end() -> None:
    supervisor, work, met = Supervisor(), Work(_raise(ValueError()), 1), asyncio.Event()
    lasting = supervisor.lasting("something", work.run, on_failure=met.set)
    lasting.start()
    async with asyncio.timeout(PATIENCE):
        await met.wait()
    await lasting.stop()
    assert not lasting.running
    assert work.begun.qsize() == 1
    assert supervisor.problem() is None, "what was ended is not failing"


async def test_work_that_returns_has_ended() -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    lasting = Supervisor().lasting("something", work)
    assert not lasting.running
    assert await lasting.ended(0), "never begun"
    lasting.start()
    assert await lasting.ended(PATIENCE)
    await lasting.stop()


def test_the_end_of_the_loop_is_the_end_of_the_work() -> None:
    """``asyncio.run`` cancels what is left: that is no accident to recover from."""
    ends: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("work")

    async def main() -> None:
        Supervisor().lasting("something", work).start()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert ends == ["work"]


async def test_pieces_end_by_themselves_and_their_bugs_are_told() -> None:
    supervisor = Supervisor()
    pieces = supervisor.passing("pieces")

    async def piece(error: Exception | None) -> None:
        if error is not None:
            raise error

    with capture_logs() as lines:
        await asyncio.wait({pieces.run(piece(ValueError(SECRET)))})
        assert supervisor.problem() == "pieces: ValueError"
    assert [(line["task"], line["kind"]) for line in lines] == [("pieces", "ValueError")]
    await asyncio.wait({pieces.run(piece(None))})
    assert supervisor.problem() is None
    assert supervisor.numbers()["task_failures"] == {("pieces",): 1}


async def test_a_piece_that_failed_is_not_shown_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "SHOWN_SECONDS", 0.0)
    supervisor = Supervisor()

    async def piece() -> None:
        raise ValueError

    await asyncio.wait({supervisor.passing("pieces").run(piece())})
    assert supervisor.problem() is None
    assert supervisor.numbers() == {"task_failures": {("pieces",): 1}, "task_failing": {("pieces",): 0}}


async def test_pieces_that_are_ended_are_no_failures() -> None:
    supervisor = Supervisor()
    pieces = supervisor.passing("pieces")

    async def piece() -> None:
        await asyncio.Event().wait()

    tasks = [pieces.run(piece()) for _ in range(3)]
    await asyncio.sleep(0)
    await pieces.stop()
    assert all(task.cancelled() for task in tasks)
    assert supervisor.numbers()["task_failures"] == {("pieces",): 0}
    await pieces.stop()
