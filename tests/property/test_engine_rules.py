"""The model of ``model.py`` notices when one rule of coherence is taken out of the (pure) engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kaa_epr.engine.api import Kind
from kaa_epr.engine.pure.cache import BoundedCache
from kaa_epr.engine.pure.coherence import Coherence
from kaa_epr.engine.pure.park import Park
from kaa_epr.engine.pure.pipeline import Pipeline
from tests.property.model import Model


def nothing(*_: Any, **__: Any) -> None:
    """What a rule does that was taken out."""


def never_deaf(self: Coherence, *, hearing: bool, mono_ms: int) -> bool:
    """Rule 4 taken out: lost ears are not noticed."""
    self.hearing = self.hearing or hearing
    return hearing


def company(taken: Callable[..., bool]) -> Callable[..., bool]:
    """Half of rule 1 taken out: every get joins what runs."""
    return lambda self, endpoint_id, waiter, *, alone: taken(self, endpoint_id, waiter, alone=False)


def never_fresh(taken: Callable[..., None]) -> Callable[..., None]:
    """Rule 1 on the callback path taken out: gets overtake unread events."""
    return lambda self, *args, fresh: taken(self, *args, fresh=False)


def keeps_older_flights(taken: Callable[..., Any]) -> Callable[..., Any]:
    """Landing forgets the flights it answers without answering them."""

    def land(self: Park[Any], load: int, endpoint_id: str) -> Any:
        landing = taken(self, load, endpoint_id)
        return landing and replace(landing, waiters=landing.waiters[-1:])

    return land


def script(*steps: tuple[Any, ...]) -> Callable[[], None]:
    """Plays (rule, arguments) on a connected model, checking after each, and lets it end."""

    def play() -> None:
        model = Model()
        model.link_up()
        model.confirm()
        for rule_name, *arguments in steps:
            getattr(model, rule_name)(*arguments)
            model.answers_are_right()
        model.teardown()

    return play


ASK, WRITE, EVENT = ("get", "a", False), ("write", "a", True), ("event", Kind.REGISTERED, True)
BEGIN, OLD, NEW = ("begin", 2), ("finish_first", False), ("finish_first", True)
FILL = (ASK, BEGIN, NEW)


@pytest.mark.parametrize(
    ("owner", "name", "broken", "play"),
    [
        pytest.param(
            *(Park, "cut", nothing, script(ASK, BEGIN, WRITE, EVENT, ASK, OLD)), id="events cut no flights"
        ),
        pytest.param(
            *(Pipeline, "_forget", nothing, script(*FILL, WRITE, EVENT, ASK)), id="events drop no entries"
        ),
        pytest.param(
            *(BoundedCache, "replace", nothing, script(WRITE, EVENT, *FILL, WRITE, ("exact_event",), ASK)),
            id="applied events change nothing",
        ),
        pytest.param(
            *(Pipeline, "forget_all", nothing, script(*FILL, WRITE, ("flush",), ASK)),
            id="flushes drop nothing",
        ),
        pytest.param(
            *(
                Pipeline,
                "forget_all",
                nothing,
                script(*FILL, ("link_down",), WRITE, ("link_up",), ("confirm",), ASK),
            ),
            id="entries survive gaps",
        ),
        pytest.param(
            *(Coherence, "ears", never_deaf, script(*FILL, ("deafen",), WRITE, ASK)),
            id="lost ears are not noticed",
        ),
        pytest.param(
            *(Park, "park", company(Park.park), script(("deafen",), ASK, BEGIN, WRITE, ASK, OLD)),
            id="the deaf join what runs",
        ),
        pytest.param(
            *(Pipeline, "get", never_fresh(Pipeline.get), script(*FILL, WRITE, ("get", "a", True))),
            id="gets overtake events",
        ),
        pytest.param(
            *(
                Park,
                "land",
                keeps_older_flights(Park.land),
                script(ASK, BEGIN, WRITE, EVENT, ASK, BEGIN, ("finish_last",)),
            ),
            id="older flights are lost",
        ),
    ],
)
def test_the_model_notices_a_rule_taken_out(
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    broken: Callable[..., Any],
    play: Callable[[], None],
) -> None:
    play()
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError):
        play()
