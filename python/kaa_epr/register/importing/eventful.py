"""Imports through the register's rules: every change is stored with its events, which are then published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from kaa_epr.errors import KaaEprError
from kaa_epr.mongo.documents import Endpoint
from kaa_epr.mongo.transfer import BadLine, Batch, BatchOutcome, GoodLine
from kaa_epr.refusals import Refusal, Stored, Unavailable
from kaa_epr.register.commit.pipeline import Pipeline
from kaa_epr.register.decide.api import OnlyAt, Outcome, Planner, Request
from kaa_epr.register.importing.commands import command_of
from kaa_epr.register.intake.api import Value

_PAUSE: Final = 0.25
"""Seconds before lines are tried again for which store or NATS were not there."""


class ImportStalled(KaaEprError):
    """Nothing could be written for long; all lines before are imported."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(line, reason)
        self.line = line
        self.reason = reason

    def message(self) -> str:
        """Where it stands and why, and what to do."""
        return (
            f"the import stands at line {self.line}: {self.reason}. The same command goes on there later; "
            "--no-events fills a store that nobody serves yet without NATS"
        )


class EventfulImport:
    """Writes batches of an import; ``write`` is its ``write_batch``.

    A batch is one batch of the pipeline too, so each stage costs one round trip, and it is bounded as the
    import's batches are. A line is carried out as a whole, with up to two events, or refused as a whole.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        planner: Planner,
        value_of: Callable[[bytes], Value],
        correlation_id: str,
        seconds: float,
    ) -> None:
        """``value_of``: the intake's; ``seconds``: how long a batch is tried while store or NATS are away."""
        self._pipeline = pipeline
        self._planner = planner
        self._value_of = value_of
        self._correlation_id = correlation_id
        self._seconds = seconds

    async def write(self, batch: Batch) -> BatchOutcome:
        """Returns when the majority has the changes and NATS their events. Raises ``ImportStalled``."""
        outcome = BatchOutcome(bad=batch.bad)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        todo: Mapping[str, GoodLine] = batch.good
        tried: dict[str, OnlyAt] = {}
        while todo:
            todo, refusal = await self._attempt(todo, tried, outcome)
            if refusal is None:
                break
            if loop.time() > deadline:
                first = min(line.number for line in todo.values())
                raise ImportStalled(first, str(refusal))
            await asyncio.sleep(_PAUSE)
        return outcome

    async def _attempt(
        self, todo: Mapping[str, GoodLine], tried: dict[str, OnlyAt], outcome: BatchOutcome
    ) -> tuple[dict[str, GoodLine], Unavailable | None]:
        """The lines that could not be tried, and why.

        ``tried``: those that may be stored; they are not imported once more over what others made of them.
        """
        futures = {
            id_: self._pipeline.enqueue(id_, self._request(line.endpoint, tried.get(id_)))
            for id_, line in todo.items()
        }
        again: dict[str, GoodLine] = {}
        unavailable: Unavailable | None = None
        for id_, future in futures.items():
            try:
                self._note(id_, await future, tried.get(id_), outcome)
            except Unavailable as refusal:
                again[id_] = todo[id_]
                unavailable = refusal
                if refusal.stored is not Stored.NO:
                    tried.setdefault(id_, OnlyAt(refusal.version))
            except Refusal as refusal:
                outcome.bad.append(BadLine(todo[id_].number, str(refusal), id_))
        return again, unavailable

    def _request(self, endpoint: Endpoint, tried: OnlyAt | None) -> Request:
        command = command_of(endpoint, self._planner, self._value_of)
        return Request(command, self._correlation_id, only_at=tried)

    def _note(self, endpoint_id: str, done: Outcome, tried: OnlyAt | None, outcome: BatchOutcome) -> None:
        if done.changed:
            outcome.written(endpoint_id, created=done.created)
        elif tried is not None:
            # The try before was stored after all.
            outcome.written(endpoint_id, created=tried.version is None)
        else:
            outcome.unchanged += 1
