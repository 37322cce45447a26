"""A change on its way, and how whoever asked for it is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from kaa_epr.refusals import Refusal
from kaa_epr.register.decide.api import Outcome, Request


@dataclass(slots=True, eq=False)
class Item:
    """What is asked of one endpoint, and by when."""

    endpoint_id: str
    request: Request
    deadline: float
    """Of the loop's clock; a contended endpoint is not tried for longer."""
    future: asyncio.Future[Outcome]
    attempts: int = 0

    def resolve(self, outcome: Outcome | Refusal) -> None:
        """Tells whoever waits, if anybody still does."""
        if self.future.done():
            return
        if isinstance(outcome, Refusal):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


def outcome_of(future: asyncio.Future[Outcome]) -> str:
    """For metrics: ``changed``, ``unchanged``, ``cancelled``, or the status of the refusal.

    Whoever asked may be gone: where nobody looks at a refusal, asyncio complains.
    """
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    if error is None:
        return "changed" if future.result().changed else "unchanged"
    return str(int(error.status)) if isinstance(error, Refusal) else "500"
