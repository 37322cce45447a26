"""What the benchmark makes of stored rounds: figures, ratios, verdicts, tables and charts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench import charts, render, report, run
from bench.contenders import Contender
from bench.results import FIGURES, FORMAT, Results, Spread
from bench.scenarios import OURS, SCENARIOS
from bench.targets import TARGETS


def _round(**more: Any) -> dict[str, Any]:
    usage = {"cpu_seconds": 1.0, "cpu_us_per_get": 1.0, "rss_bytes": 10**8}
    blank: dict[str, Any] = {
        "seconds": 1.0,
        "gets": 1000,
        "gets_per_second": 1000.0,
        "events": 0,
        "latency_us": {"count": 1000, "p50": 10.0, "p99": 20.0, "p999": 30.0},
        "statuses": {"200": 1000},
        "faults": {"lost": 0},
        "watched": {"responder": usage, "nats": usage},
        "load": usage,
        "series": None,
        "prefill": None,
    }
    return blank | more


def _results(scenarios: dict[str, dict[str, list[dict[str, Any]]]], **content: Any) -> Results:
    named = {
        name: {
            "title": name,
            "contenders": {one: {"title": one, "rounds": rounds} for one, rounds in found.items()},
        }
        for name, found in scenarios.items()
    }
    return Results({"format": FORMAT, "scenarios": named} | content)


def _rates(*rates: float) -> list[dict[str, Any]]:
    return [_round(round=number, gets_per_second=rate) for number, rate in enumerate(rates, 1)]


def _lines(results: Results) -> dict[str, tuple[str, str]]:
    return {text: (measured, verdict) for text, _, measured, verdict in report.lines(results)}


def test_targets_are_judged_by_medians_of_ratios_within_a_round() -> None:
    """The machine is ten times slower in the second round, for which only its ratio must not count."""
    beside = {"kaa-epr": _rates(700, 80, 900), "kaa-epr-baseline": _rates(1000, 100, 1000)}
    canonical = {"kaa-epr": _rates(100, 45, 5000), "obvious": _rates(100, 10, 1000)}
    lines = _lines(_results({"canonical": canonical, "storm-other": beside}))
    assert lines["gets/s kept, events on other endpoints"] == ("0.8 (0.7 to 0.9) times", "pass")
    assert lines["gets/s: ours / obvious peer"] == ("4.5 (1 to 5) times", "pass")
    assert lines["CPU per get: obvious peer / ours"] == ("1 times", "SHORT")
    assert lines["CPU of an event"] == ("", "not measured")
    assert len(lines) == len(TARGETS)


def test_a_round_that_failed_for_one_is_no_pair() -> None:
    beside = {"kaa-epr": _rates(100, 200, 300), "kaa-epr-baseline": _rates(1000, 1000, 1000)[1:]}
    ratio = _results({"include": beside}).ratio(
        "include", ("kaa-epr", "gets_per_second"), ("kaa-epr-baseline", "gets_per_second")
    )
    assert ratio == Spread(0.25, 0.2, 0.3)


def test_every_target_is_measured_in_a_complete_run() -> None:
    """In particular, whatever is compared with a baseline has one."""
    series = {"interval_ms": 20, "right": [100] * 100, "unavailable": []}
    one = _round(round=1, events=10, series=series, flush_at=0.2)
    measured = {}
    for scenario in SCENARIOS:
        turn = run.slots(scenario, [Contender(name, name, "metadata") for name in scenario.contenders])
        measured[scenario.name] = {slot.name: [one] for slot in turn}
    results = _results(measured)
    assert [text for text, (_, verdict) in _lines(results).items() if verdict == "not measured"] == []


def test_ours_and_its_baseline_are_neighbours() -> None:
    (include,) = (scenario for scenario in SCENARIOS if scenario.name == "include")
    contenders = [Contender(name, name, "metadata") for name in ("obvious", OURS, "responder-go")]
    turn = run.slots(include, contenders)
    assert [(slot.name, slot.contender.name, slot.scenario.name) for slot in turn] == [
        ("obvious", "obvious", "include"),
        (OURS, OURS, "include"),
        ("kaa-epr-baseline", OURS, "canonical"),
        ("responder-go", "responder-go", "include"),
    ]


def test_results_of_before_have_no_baselines_but_pairs_where_no_round_failed() -> None:
    """Format 1 did not number its rounds."""
    canonical = {"kaa-epr": _rates(400, 500), "obvious": _rates(100, 100), "echo-c": _rates(100)}
    for rounds in canonical.values():
        for one in rounds:
            del one["round"]
    results = _results({"canonical": canonical, "include": canonical}, format=1, rounds=2)
    lines = _lines(results)
    assert lines["gets/s: ours / obvious peer"] == ("4.5 (4 to 5) times", "pass")
    assert lines["CPU per get: ours / C echo"] == ("", "not measured")
    assert lines["CPU per get: include of 3 of 10 fields / all"] == ("", "not measured")


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([100] * 100, 0.0),
        ([0, 0, 0, 0, 10] + [100] * 100, 80.0),  # the next five make 82 % on average
        ([0] * 10 + [100] * 5 + [0] * 20 + [100] * 100, 680.0),  # a short peak does not count
        ([0] * 50, 1000.0),
    ],
)
def test_recovery_is_when_the_rate_is_there_again(after: list[int], expected: float) -> None:
    """Intervals of 20 ms; the flush comes after ten of them."""
    series = {"interval_ms": 20, "right": [100] * 10 + after, "unavailable": []}
    assert FIGURES["recovery_ms"](_round(series=series, flush_at=0.2)) == expected


def test_text_between_markers_is_replaced() -> None:
    old = f"before\n{render.BEGIN}\nold \\1\n{render.END}\nafter\n"
    assert render.between_markers(old, "new \\1") == f"before\n{render.BEGIN}\nnew \\1\n{render.END}\nafter\n"


@pytest.mark.parametrize(
    ("value", "text"), [(0.5512, "0.551"), (12.0, "12"), (999.6, "1000"), (301_750, "302\u202f000")]
)
def test_numbers_for_people(value: float, text: str) -> None:
    assert charts.number_text(value) == text


def test_charts_escape_what_they_show() -> None:
    svg = charts.bars("a < b", "µs", [charts.Bar("<x>", Spread(1, 1, 2), ours=True)])
    assert ET.fromstring(svg) is not None


def test_stored_results_are_of_a_known_format() -> None:
    with pytest.raises(ValueError, match="format 0"):
        Results({"format": 0})
    for path in Path("bench/results").glob("bench-*.json"):
        results = Results(json.loads(path.read_text()))
        assert "**kaa-epr**" in render.full_tables(results)
