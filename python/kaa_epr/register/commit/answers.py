"""What came of a command, as its future has it."""

from __future__ import annotations

import asyncio

from kaa_epr.refusals import Refusal
from kaa_epr.register.decide.planning import Outcome


def outcome_of(future: asyncio.Future[Outcome]) -> str:
    """For metrics: ``changed``, ``unchanged``, ``cancelled``, or the status of the refusal."""
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    if error is None:
        return "changed" if future.result().changed else "unchanged"
    return str(int(error.status)) if isinstance(error, Refusal) else "500"


def look_at(future: asyncio.Future[Outcome]) -> None:
    """Whoever asked may be gone: nobody else would look at a refusal, and asyncio would complain."""
    if not future.cancelled():
        future.exception()
