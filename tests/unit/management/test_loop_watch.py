"""What the loop's delay is found to be: its own work is told from a machine that is busy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
import uvloop

from kaa_epr.config.groups import ManagementSettings
from kaa_epr.log import configure
from kaa_epr.management import loop_watch
from kaa_epr.management.loop_watch import LoopWatch
from tests.support.waiting import until

INTERVAL = 0.001
LOOPS: tuple[Callable[[], asyncio.AbstractEventLoop], ...] = (asyncio.new_event_loop, uvloop.new_event_loop)


class _Clock:
    """In place of the module ``time``: what it says is the test's."""

    def __init__(self) -> None:
        self.now = 100.0
        self.spent = 5.0

    def monotonic(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.spent


@pytest.mark.parametrize(
    ("late", "computed", "held"),
    [(0.03, 0.5, 0.03), (0.03, 0.002, 0.002), (-0.001, 0.001, 0.0)],
    ids=["we computed all the while", "others had the processor", "early by the clock's rounding"],
)
async def test_a_delay_is_ours_as_far_as_we_computed(
    monkeypatch: pytest.MonkeyPatch, late: float, computed: float, held: float
) -> None:
    clock, seen = _Clock(), list[tuple[float, float]]()
    monkeypatch.setattr(loop_watch, "time", clock)
    watch = LoopWatch(
        ManagementSettings(loop_interval=INTERVAL), lambda delay, mine: seen.append((delay, mine))
    )
    watch.start()
    clock.now += INTERVAL + late
    clock.spent += computed
    await until(lambda: seen)
    watch.stop()
    assert seen[0] == pytest.approx((max(late, 0.0), held))


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_whatever_keeps_the_loop_is_seen_and_told_of(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[float, float]] = []

    async def scene() -> None:
        settings = ManagementSettings(loop_interval=INTERVAL, loop_warning=0.05)
        watch = LoopWatch(settings, lambda delay, held: seen.append((delay, held)))
        watch.start()
        await until(lambda: len(seen) > 2)
        ended = time.process_time() + 0.1
        while time.process_time() < ended:
            pass
        before = len(seen)
        await until(lambda: len(seen) > before)
        watch.stop()
        after = len(seen)
        await until(lambda: loop.time() > begun + 0.15)
        assert len(seen) == after, "it went on looking"

    configure()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        loop = runner.get_loop()
        begun = loop.time()
        runner.run(scene())
    # Some of it may lie before the timer was due.
    assert max(held for _, held in seen) > 0.1 - 10 * INTERVAL
    assert all(held <= delay for delay, held in seen)
    assert "the event loop was late" in capsys.readouterr().err


async def test_it_can_be_turned_off() -> None:
    seen: list[float] = []
    watch = LoopWatch(ManagementSettings(loop_interval=0), lambda delay, _held: seen.append(delay))
    watch.start()
    loop = asyncio.get_running_loop()
    ended = loop.time() + 0.05
    await until(lambda: loop.time() > ended)
    watch.stop()
    assert not seen
