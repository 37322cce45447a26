"""Which endpoints of a batch are planned together, and where."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import bson

from kaa_epr.mongo.conditional import Claim
from kaa_epr.register.commit import plans
from kaa_epr.register.commit.item import Item
from kaa_epr.register.commit.plans import Drawing
from kaa_epr.register.decide.api import Author, PlanLimits, Planned, Request, Work
from tests.support.planning import AUTHOR, CLAIM, LIMITS, items, known, planner


class Noted:
    """A planner that notes what it is asked for, and on which thread."""

    def __init__(self) -> None:
        self._planner = planner("pure")
        self.asked: list[tuple[list[str], bool]] = []

    def plan(
        self, work: Sequence[Work], author: Author, claim: Claim | None, limits: PlanLimits
    ) -> list[Planned]:
        on_loop = threading.current_thread() is threading.main_thread()
        self.asked.append(([each.endpoint_id for each in work], on_loop))
        return self._planner.plan(work, author, claim, limits)


async def test_a_large_document_is_planned_by_itself_beside_the_loop() -> None:
    engine = planner("pure")
    small, large = (bson.encode(known(k="x" * size)) for size in (10, plans.LARGE))
    sizes = {"a": small, "b": small, "c": large, "d": large, "e": small}
    put = Request(engine.put_keys(items({"n": 1})), "c-1")
    loop = asyncio.get_running_loop()
    waiting = {name: [Item(name, put, loop.time() + 60, loop.create_future())] for name in sizes}
    noted: Any = Noted()
    drawing = Drawing(noted, AUTHOR, CLAIM, LIMITS)
    made = [plan async for plan in drawing.plans(waiting, sizes)]
    assert noted.asked == [(["a", "b"], True), (["c"], False), (["d"], False), (["e"], True)]
    assert [plan.endpoint_id for plan in made] == list(sizes)
    for plan in made:
        plan.settle()
    assert all(item.future.result().changed for its in waiting.values() for item in its)
