"""Background work survives its bugs."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from kaa_epr.responder.witness import lasting
from kaa_epr.responder.witness.lasting import Lasting

PATIENCE = 10.0


async def test_a_bug_is_logged_and_told_and_the_work_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "PAUSE_SECONDS", 0.0)
    begun: asyncio.Queue[int] = asyncio.Queue()
    told: list[str] = []
    ended = asyncio.Event()

    async def work() -> None:
        begun.put_nowait(len(told))
        if len(told) < 2:
            raise RuntimeError("a bug")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = Lasting("something", work, lambda: told.append("bug"))
    with capture_logs() as lines:
        task.start()
        async with asyncio.timeout(PATIENCE):
            assert [await begun.get() for _ in range(3)] == [0, 1, 2]
    assert [line["work"] for line in lines] == ["something"] * 2
    await task.stop()
    assert ended.is_set()


async def test_a_stop_in_the_pause_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "PAUSE_SECONDS", 0.0)
    met = asyncio.Event()
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        raise RuntimeError("a bug")

    task = Lasting("something", work, met.set)
    task.start()
    async with asyncio.timeout(PATIENCE):
        await met.wait()
    before = begun
    await task.stop()
    for _ in range(5):
        await asyncio.sleep(0)
    assert begun == before


async def test_a_stop_without_a_start_ends_nothing() -> None:
    told: list[str] = []

    async def work() -> None:
        told.append("begun")

    await Lasting("something", work, lambda: None).stop()
    assert told == []
