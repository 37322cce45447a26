"""A bug in the pure engine costs its get a 500 and nobody else anything (the last row of that table)."""

from __future__ import annotations

import logging
from types import ModuleType

import pytest

from kaa_epr.engine.pure import engine as pure_engine
from kaa_epr.engine.pure import pipeline
from kaa_epr.engine.pure.entry import Entry
from tests.property.documents import endpoint, text
from tests.property.messages import Get
from tests.property.support import ask, frames, load, response, started


def test_a_bug_is_answered_logged_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    project = Entry.project

    def breaks(self: Entry, include: tuple[str, ...]) -> bytes:
        if "boom" in include:
            raise ZeroDivisionError("secret value")
        return project(self, include)

    monkeypatch.setattr(Entry, "project", breaks)
    engine = started("pure")
    ask(engine, Get(correlation_id="bad", include=("boom",)).encode(), reply="bad")
    ask(engine, Get().encode(), reply="good")
    with caplog.at_level(logging.ERROR):
        wire = load(engine, endpoint("e-1", [("k", text("secret value"))]))
    status = {frame.subject: response(frame.payload) for frame in frames(wire)}
    assert (status["bad"]["statusCode"], status["bad"]["reasonPhrase"]) == (500, "Internal server error")
    assert status["good"]["statusCode"] == 200
    assert engine.take_bugs() == ["bad"]
    assert engine.take_bugs() == []
    [record] = caplog.records
    assert record.getMessage().startswith("answering a get failed: ZeroDivisionError at test_pure_bugs.py:")
    assert "secret" not in caplog.text
    assert record.__dict__["correlation_id"] == "bad"


@pytest.mark.parametrize(
    ("module", "name", "doing"),
    [(pipeline, "from_bson", "landing an endpoint"), (pure_engine, "id_of", "reading a load")],
)
def test_a_bug_in_a_landing_costs_its_gets_a_500(
    module: ModuleType,
    name: str,
    doing: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError("secret value")

    monkeypatch.setattr(module, name, breaks)
    engine = started("pure")
    for number in ("1", "2"):
        ask(engine, Get(correlation_id=number).encode(), reply=number)
    with caplog.at_level(logging.ERROR):
        wire = load(engine, endpoint("e-1", [("k", text("secret value"))]))
    answers = {frame.subject: response(frame.payload)["statusCode"] for frame in frames(wire)}
    assert answers == {"1": 500, "2": 500}
    assert engine.take_bugs() == ["1", "2"]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [f"{doing} failed"]
    assert "secret" not in caplog.text
    assert (engine.pending(), engine.stats()["cache_entries"]) == (0, 0)
