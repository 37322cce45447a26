"""Imports into MongoDB alone, for a first fill: nobody is told, and outboxes that are there stay."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from bson.raw_bson import RawBSONDocument

from kaa_epr.engine import EngineName
from kaa_epr.mongo.api import Statement, WriteOutcome
from kaa_epr.mongo.conditional import is_race
from kaa_epr.mongo.documents import MAX_DEPTH, MAX_DOCUMENT, METADATA_LEVELS
from kaa_epr.mongo.lenient import LENIENT
from kaa_epr.mongo.raw_documents import by_id, insertion
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.mongo.transfer import BadLine, Batch, BatchOutcome, GoodLine, WriteBatch
from kaa_epr.refusals import Refusal, Unusable
from kaa_epr.register.commit.writing import refusal
from kaa_epr.register.decide.api import Author, Outcome, PlanLimits, Planned, Planner, Request, Work
from kaa_epr.register.decide.planners import select_planner
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.importing.commands import command_of
from kaa_epr.register.intake.api import Value
from kaa_epr.register.intake.engines import select_intake

_ROUNDS: Final = 5
"""How often a document that others change at the same time is compared and written anew."""
_RULES: Final = Rules(
    max_keys=sys.maxsize,
    max_key_length=sys.maxsize,
    max_depth=MAX_DEPTH - METADATA_LEVELS,
    max_metadata_bytes=MAX_DOCUMENT,
    plain_tokens=False,
)
"""What MongoDB takes; lines were held to that when they were read."""
_LIMITS: Final = PlanLimits(max_event_bytes=sys.maxsize)
"""Events are planned and sent nowhere."""


def direct_import(store: RegisterStore, engine: EngineName = "auto", seconds: float = 30.0) -> WriteBatch:
    """Writes batches of an import; ``seconds`` for each read and each write. Raises EngineUnavailable.

    A document that says what its line says is left alone; others are changed on the condition that they are
    still what they were compared with. What cannot be read of one is repaired, a tombstone's version goes on.
    """
    return _DirectImport(store, select_planner(engine, _RULES), select_intake(engine).value_of, seconds).write


class _DirectImport:
    def __init__(
        self, store: RegisterStore, planner: Planner, value_of: Callable[[bytes], Value], seconds: float
    ) -> None:
        self._store = store
        self._planner = planner
        self._value_of = value_of
        self._seconds = seconds

    async def write(self, batch: Batch) -> BatchOutcome:
        """Compares, writes what differs, and compares anew what somebody else changed in between."""
        outcome = BatchOutcome(bad=batch.bad)
        todo: Mapping[str, GoodLine] = batch.good
        requests = {id_: self._request(line) for id_, line in todo.items()}
        for _ in range(_ROUNDS):
            if not todo:
                return outcome
            stored = by_id(await self._store.read(list(todo), self._seconds))
            work = [Work(id_, stored.get(id_), [requests[id_]]) for id_ in todo]
            planned = self._compare(work, todo, outcome)
            todo = await self._write(planned, todo, stored, outcome)
        for id_, line in todo.items():
            outcome.bad.append(BadLine(line.number, "others kept changing the endpoint meanwhile", id_))
        return outcome

    def _request(self, line: GoodLine) -> Request:
        return Request(command_of(line.endpoint, self._planner, self._value_of), "")

    def _compare(
        self, work: list[Work], todo: Mapping[str, GoodLine], outcome: BatchOutcome
    ) -> dict[str, Planned]:
        """The writes that are needed."""
        author = Author("import", time.time_ns() // 1_000_000)
        planned: dict[str, Planned] = {}
        for each, plan in zip(work, self._planner.plan(work, author, None, _LIMITS), strict=True):
            done = _outcome(each, plan)
            if not isinstance(done, Outcome):
                outcome.bad.append(BadLine(todo[each.endpoint_id].number, done, each.endpoint_id))
            elif done.changed:
                planned[each.endpoint_id] = plan
            else:
                outcome.unchanged += 1
        return planned

    async def _write(
        self,
        planned: Mapping[str, Planned],
        todo: Mapping[str, GoodLine],
        stored: Mapping[str, bytes],
        outcome: BatchOutcome,
    ) -> dict[str, GoodLine]:
        """Writes; returns the lines to be compared anew, whose documents were changed by somebody else."""
        new = [id_ for id_ in planned if id_ not in stored]
        known = [id_ for id_ in planned if id_ in stored]
        again: dict[str, GoodLine] = {}
        if new:
            result = await self._insert([planned[id_] for id_ in new])
            again |= _noted(new, result, todo, outcome, created=True)
        if known:
            statements = [Statement(planned[id_].condition, planned[id_].update) for id_ in known]
            result = await self._store.upsert(statements, self._seconds)
            again |= _noted(known, result, todo, outcome, created=False)
        return again

    async def _insert(self, planned: list[Planned]) -> WriteOutcome:
        """MongoDB stores the insertions of one command in groups, upserts one by one."""
        documents = [each.document for each in planned if each.document is not None]
        return await self._store.write([insertion(each) for each in documents], self._seconds)


def _noted(
    ids: list[str],
    result: WriteOutcome,
    todo: Mapping[str, GoodLine],
    outcome: BatchOutcome,
    *,
    created: bool,
) -> dict[str, GoodLine]:
    """The lines to be compared anew."""
    failures = {failure.position: failure for failure in result.failures}
    again: dict[str, GoodLine] = {}
    for position, id_ in enumerate(ids):
        failure = failures.get(position)
        if failure is None:
            outcome.written(id_, created=created)
        elif is_race(failure):
            again[id_] = todo[id_]
        else:
            outcome.bad.append(BadLine(todo[id_].number, str(refusal(failure)), id_))
    return again


def _outcome(work: Work, planned: Planned) -> Outcome | str:
    """What is to become of an endpoint, or why nothing can."""
    if not planned.outcomes:
        return str(Unusable())
    # A version that is no number may be somebody's who counts in another way: it is not written over.
    if planned.before is None and work.document is not None and _has_odd_version(work.document):
        return "the stored document's version is not a number"
    done = planned.outcomes[0]
    return str(done) if isinstance(done, Refusal) else done


def _has_odd_version(document: bytes) -> bool:
    version = RawBSONDocument(document, LENIENT).get("version")
    return version is not None and (isinstance(version, bool) or not isinstance(version, int | float))
