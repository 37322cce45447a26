from __future__ import annotations

import asyncio

import pytest

from kaa_epr import slices
from kaa_epr.slices import SECONDS, Slice


async def test_others_have_the_loop_when_a_slice_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(slices, "perf_counter", lambda: now)
    turns: list[str] = []
    work = Slice()
    for moment, spent in (("at once", 0.0), ("within", SECONDS / 2), ("over", SECONDS), ("again", 0.0)):
        now += spent
        asyncio.get_running_loop().call_soon(turns.append, moment)
        await work.give_way()
        turns.append(f"{moment} passed")
    assert turns == [
        "at once passed",
        "within passed",
        "at once",
        "within",
        "over",
        "over passed",
        "again passed",
    ]
