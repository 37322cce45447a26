"""A reload: each part takes over what is new by itself, within a time, or goes on as before and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from kaa_epr.log import get_logger

_log: Final = get_logger(__name__)

PART_SECONDS: Final = 60.0
"""Longest time for one part, whatever its steps are bounded by."""

Part = Callable[[], Awaitable[None]]
"""Takes over what is new, or raises; then it goes on as before."""


async def reload(parts: Mapping[str, Part]) -> list[str]:
    """All parts at once; the names of those that took over what is new. What was refused is logged."""
    outcomes = await asyncio.gather(*map(_within_time, parts.values()), return_exceptions=True)
    done = []
    for name, outcome in zip(parts, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            _log.error(
                "reload refused, going on as before",
                part=name,
                error=_text(outcome),
                kind=type(outcome).__name__,
            )
        else:
            done.append(name)
    return done


async def _within_time(part: Part) -> None:
    async with asyncio.timeout(PART_SECONDS):
        await part()


def _text(error: BaseException) -> str:
    return f"not within {PART_SECONDS:g} seconds" if isinstance(error, TimeoutError) else str(error)
