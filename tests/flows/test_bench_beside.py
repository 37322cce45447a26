"""How phases of gets with writes beside them are compared with those without."""

from __future__ import annotations

import pytest

from bench.beside import Phase, compared

BEGAN_MS = 1_700_000_000_000


def _phase(began: float, ended: float, *, writing: bool, cores: float = 0.0) -> Phase:
    at = BEGAN_MS / 1000
    return Phase(at + began, at + ended, writing, {"register": cores})


def _series(*rates: int) -> dict[str, object]:
    """Seconds of ten intervals each, at so many gets an interval."""
    right = [rate for rate in rates for _ in range(10)]
    return {"interval_ms": 100, "began_ms": BEGAN_MS, "right": right}


PHASES = [
    _phase(-0.5, 0.5, writing=False),
    _phase(0.5, 1, writing=True),
    _phase(1, 2, writing=False, cores=0.1),
    _phase(2, 3, writing=True, cores=0.4),
    _phase(3, 4, writing=False, cores=0.3),
    _phase(4, 5, writing=True, cores=0.6),
    _phase(5, 6, writing=False, cores=0.2),
    _phase(6, 7.5, writing=True),
]


def test_each_phase_is_compared_with_those_around_it() -> None:
    report = compared(PHASES, _series(7, 100, 60, 50, 80, 110, 9))
    # The first is measured in part, the one that follows it has nothing before it, and the last is cut short.
    assert report["kept"] == pytest.approx([60 / 75, 80 / 80])
    assert report["gets_per_second_alone"] == pytest.approx(775)
    assert report["gets_per_second"] == pytest.approx(700)


def test_cores_are_those_of_the_phases_that_were_measured() -> None:
    report = compared(PHASES, _series(7, 100, 60, 50, 80, 110, 9))
    assert report["cores_alone"] == {"register": pytest.approx(0.2)}
    assert report["cores"]["register"] == pytest.approx(0.4)


def test_outboxes_cleared_after_the_writes_do_not_count_as_gets_alone() -> None:
    series = _series(7, 100, 60, 50, 80, 110, 9)
    for second in (1, 3, 5):
        series["right"][second * 10 : second * 10 + 2] = [0, 0]  # type: ignore[index]
    assert compared(PHASES, series)["kept"] == compared(PHASES, _series(7, 100, 60, 50, 80, 110, 9))["kept"]
