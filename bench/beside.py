"""Gets as fast as they are answered, while writes beside them go on and pause by turns.

The machine's speed changes by the second, by two and more, so a run of gets without writes tells little
about one with them some seconds later. Here the gets never stop, and each phase with writes is compared with
those without right before and after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from bench.write_load import Loop

INTERVAL_MS: Final = 50
"""Of the generator's series."""
SETTLING: Final = 0.25
"""Seconds of a phase without writes that do not count: outboxes of the writes before are being cleared."""

Usage = Callable[[], dict[str, float]]
"""CPU seconds so far, by process."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Unix times in seconds, and the cores that each process kept busy."""

    began: float
    ended: float
    writing: bool
    cores: dict[str, float]


async def phases(loop: Loop, rate: float, seconds: float, usage: Usage, over: asyncio.Event) -> list[Phase]:
    """Of at least ``seconds`` each, the first without writes, until told to end.

    A phase with ``rate`` writes a second lasts until the last of them was answered.
    """
    done: list[Phase] = []
    while not over.is_set():
        writing = len(done) % 2 == 1
        began, before = time.time(), usage()
        if writing:
            pause = asyncio.Event()
            asyncio.get_running_loop().call_later(seconds, pause.set)
            await loop.at_rate(rate, pause)
        else:
            await asyncio.sleep(seconds)
        ended, after = time.time(), usage()
        cores = {name: (after[name] - before[name]) / (ended - began) for name in after}
        done.append(Phase(began, ended, writing, cores))
    return done


def compared(done: Sequence[Phase], series: dict[str, Any]) -> dict[str, Any]:
    """What gets, told by the ``series``, kept of their rate phase by phase, and who used the cores."""
    rates = [(phase, rate) for phase in done if (rate := _rate(phase, series)) is not None]
    kept, alone, beside = [], [], []
    for (_, before), (phase, rate), (_, after) in zip(rates, rates[1:], rates[2:], strict=False):
        if phase.writing:
            beside.append(rate)
            alone.append((before + after) / 2)
            kept.append(rate / alone[-1])
    return {
        "gets_per_second_alone": median(alone),
        "gets_per_second": median(beside),
        "kept": kept,
        "cores_alone": _cores([phase for phase, _ in rates if not phase.writing]),
        "cores": _cores([phase for phase, _ in rates if phase.writing]),
    }


def _rate(phase: Phase, series: dict[str, Any]) -> float | None:
    """Gets a second in the intervals that lie within the phase; None unless all of it was measured."""
    length: float = series["interval_ms"] / 1000
    began = series["began_ms"] / 1000
    first = int((phase.began + (0 if phase.writing else SETTLING) - began) / length) + 1
    last = int((phase.ended - began) / length)
    if phase.began < began or last > len(series["right"]):
        return None
    counted: list[int] = series["right"][first:last]
    return sum(counted) / (len(counted) * length)


def _cores(done: Sequence[Phase]) -> dict[str, float]:
    return {name: median(phase.cores[name] for phase in done) for name in done[0].cores}
