"""Work that is too short for slices, by turns."""

from __future__ import annotations

import asyncio

import pytest

from kaa_epr.config.settings import Settings
from kaa_epr.register.intake.api import JsonLimits, Value
from kaa_epr.register.intake.engines import PureIntake
from kaa_epr.register.intake.reading import SHORT_TEXT, Reading
from kaa_epr.slices import Turns


class Clock:
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.turn = 0
        self._handle = asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        self.turn += 1
        self._handle = asyncio.get_running_loop().call_soon(self._tick)

    def stop(self) -> None:
        self._handle.cancel()


async def test_one_piece_of_work_a_turn() -> None:
    turns, clock = Turns(), Clock()
    seen = []

    async def work() -> None:
        async with turns:
            seen.append(clock.turn)

    await asyncio.gather(*(work() for _ in range(20)))
    clock.stop()
    assert len(set(seen)) == 20
    assert seen == sorted(seen)


async def test_a_turn_that_fails_is_over() -> None:
    turns, clock = Turns(), Clock()
    for _ in range(2):
        with pytest.raises(ValueError, match="not this time"):
            async with turns:
                raise ValueError("not this time")
    begun = clock.turn
    async with asyncio.timeout(20), turns:
        assert clock.turn > begun
    clock.stop()


class Noting(PureIntake):
    """Notes in which turn of the loop a text is read."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.seen: list[int] = []

    def parse_json(
        self, text: bytes, field: str, limits: JsonLimits, *, prefix: str | None = None, envelope: int = 0
    ) -> Value:
        self.seen.append(self.clock.turn)
        return super().parse_json(text, field, limits, prefix=prefix, envelope=envelope)


async def read_at_once(text: bytes, times: int) -> list[int]:
    clock = Clock()
    intake = Noting(clock)
    register = Settings().register_
    limits = JsonLimits(register.max_depth, register.max_values)
    reading = Reading(intake, limits, limits, register.max_keys)
    await asyncio.gather(*(reading.value(text, "body") for _ in range(times)))
    clock.stop()
    return intake.seen


async def test_of_longer_texts_one_is_read_a_turn_whoever_sends_them_at_the_same_moment() -> None:
    longer = b'"' + b"x" * SHORT_TEXT + b'"'
    assert len(set(await read_at_once(longer, 12))) == 12
    assert len(set(await read_at_once(b"1", 12))) == 1
