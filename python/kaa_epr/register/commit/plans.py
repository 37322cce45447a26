"""Plans of a batch with the items that they answer, made in slices, so that nothing else waits for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from kaa_epr.mongo.api import Statement
from kaa_epr.mongo.conditional import Claim
from kaa_epr.refusals import Refusal
from kaa_epr.register.commit.item import Item
from kaa_epr.register.decide.api import Author, PlanLimits, Planned, Planner, Work
from kaa_epr.slices import Slice


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for one endpoint, and whom its outcomes are for."""

    endpoint_id: str
    planned: Planned
    items: Sequence[Item]
    """As many as there are outcomes."""
    left: Sequence[Item]
    """For which there was no room; they come next."""

    @property
    def statement(self) -> Statement:
        """The write."""
        return Statement(self.planned.condition, self.planned.update)

    def settle(self) -> None:
        """Tells every outcome."""
        for item, outcome in zip(self.items, self.planned.outcomes, strict=True):
            item.resolve(outcome)

    def has_success(self) -> bool:
        """Whether any command is to be acknowledged."""
        return not all(isinstance(outcome, Refusal) for outcome in self.planned.outcomes)

    def refuse(self, refusal: Refusal) -> None:
        """Tells every command that all came to nothing."""
        for item in self.items:
            item.resolve(refusal)

    def leave(self, perhaps: Refusal, refused: Refusal | None = None) -> None:
        """Tells what is not known, or not finished: ``perhaps`` to whoever was to be acknowledged.

        What the plan refused did nothing, whatever became of the others: that, or ``refused`` in its place.
        """
        for item, outcome in zip(self.items, self.planned.outcomes, strict=True):
            item.resolve((refused or outcome) if isinstance(outcome, Refusal) else perhaps)


@dataclass(frozen=True, slots=True)
class Drawing:
    """What all plans of a batch have in common."""

    planner: Planner
    author: Author
    claim: Claim
    limits: PlanLimits

    async def plans(
        self, items: Mapping[str, Sequence[Item]], documents: Mapping[str, bytes]
    ) -> AsyncIterator[Plan]:
        """Of all endpoints, in order. Between two calls of the planner others have the loop."""
        pending = list(items.items())
        begun = 0
        work = Slice()
        while begun < len(pending):
            await work.give_way()
            rest = pending[begun:]
            todo = [
                Work(endpoint_id, documents.get(endpoint_id), [item.request for item in its])
                for endpoint_id, its in rest[:_MOST]
            ]
            made = await self._made(todo)
            for (endpoint_id, its), planned in zip(rest, made, strict=False):
                count = len(planned.outcomes)
                yield Plan(endpoint_id, planned, its[:count], its[count:])
            begun += len(made)

    async def _made(self, todo: Sequence[Work]) -> list[Planned]:
        """The plans of the first of ``todo``; one of a large document is made in a thread, by itself."""
        small = next((n for n, each in enumerate(todo) if len(each.document or b"") >= LARGE), len(todo))
        plan = partial(self.planner.plan, todo[: small or 1], self.author, self.claim, self.limits)
        return plan() if small else await asyncio.to_thread(plan)


LARGE: Final = 256 * 1024
"""Bytes of a document that the loop does not wait for; the core leaves the interpreter to others then."""
_MOST: Final = 128
"""Endpoints that are shown to the planner at a time; it takes as many of them as fit into a slice."""
