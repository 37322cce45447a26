"""Each step of an end comes, whatever became of those before it."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from kaa_epr import ending
from kaa_epr.ending import Ending


async def _done(done: list[str], name: str) -> None:
    done.append(name)


async def _fails(error: BaseException) -> None:
    raise error


async def _never() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "error", [OSError("a port"), RuntimeError("a bug"), asyncio.CancelledError(), TimeoutError()]
)
async def test_a_step_that_raises_keeps_no_other_from_coming(error: BaseException) -> None:
    done: list[str] = []
    end = Ending(10)
    with capture_logs() as lines:
        await end.steps({"first": _fails(error), "beside it": _done(done, "beside it")})
        await end.step("behind it", _done(done, "behind it"))
    assert done == ["beside it", "behind it"]
    assert end.flaws == ["first"]
    assert [(line["step"], line["kind"]) for line in lines] == [("first", type(error).__name__)]


async def test_a_step_that_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "CLOSING_SECONDS", 0.01)
    done: list[str] = []
    end = Ending(0)
    await end.step("hangs", _never())
    await end.step("behind it", _done(done, "behind it"))
    assert (done, end.flaws) == (["behind it"], ["hangs"])


@pytest.mark.parametrize(("seconds", "telling"), [(20, 1.0), (2, 0.5), (0, 0)])
def test_time_is_kept_for_telling_who_waits(seconds: float, telling: float) -> None:
    end = Ending(seconds)
    assert end.left == pytest.approx(seconds, abs=0.2)
    assert end.left - end.patience == pytest.approx(telling, abs=0.2)


def test_what_is_given_up_is_a_flaw() -> None:
    end = Ending(1)
    assert not end.flaws
    end.give_up("changes")
    assert end.flaws == ["changes"]
