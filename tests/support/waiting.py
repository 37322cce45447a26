"""Waiting for states that send no signal, and starting processes from a thread that lives long enough."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

DEADLINE: Final = 15.0
"""Seconds within which whatever a test waits for has happened, on a busy machine too."""

P = ParamSpec("P")
T = TypeVar("T")

_KEEPER: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")


async def until(
    condition: Callable[[], Awaitable[object] | object],
    what: str = "",
    seconds: float = DEADLINE,
    every: float = 0.005,
) -> None:
    """Waits for a condition, looking ``every`` so many seconds; fails when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        held = condition()
        if inspect.isawaitable(held):
            held = await held
        if held:
            return
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {what or condition}"
        await asyncio.sleep(every)


async def kept(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs ``work``, which starts or stops servers, without blocking the loop.

    On one thread that outlives them all: the kernel kills a server when the thread that started it ends.
    """
    return await asyncio.get_running_loop().run_in_executor(_KEEPER, lambda: work(*args, **kwargs))
