"""The benchmark of hostile requests, on few of them, and what it makes of its figures."""

from __future__ import annotations

from pathlib import Path

from bench.hostile import BEGIN, END, longest, over, render, run
from tests.support.hostile.corpus import corpus

CASES = ("string: half a pair, high", "depth: 32 arrays", "many: 1,024 keys of small values")


def test_each_case_is_measured_once_a_round() -> None:
    entries = [entry for entry in corpus("rest_values") if entry.name in CASES]
    report = run(entries, 2)
    assert [case["case"] for case in report["cases"]] == [f"rest_values: {name}" for name in CASES]
    assert all(len(case["held_ms"]) == 2 for case in report["cases"])
    assert report["commit"]


def test_a_case_is_over_the_bound_by_its_median(tmp_path: Path) -> None:
    cases = [
        {"case": "once", "held_ms": [1.0, 90.0, 2.0]},
        {"case": "mostly", "held_ms": [20.1, 1.0, 30.0]},
        {"case": "just not", "held_ms": [20.0, 20.0, 20.0]},
    ]
    facts = {"begun": "20261201T1900", "commit": "abc", "rounds": 3, "bound_ms": 20.0}
    report = facts | {"machine": {"cpu": "c", "cores": 2, "load_average": 1.0}, "cases": cases}
    assert [case["case"] for case in over(report)] == ["mostly"]
    assert [case["case"] for case in longest(report)] == ["mostly", "just not", "once"]
    page = tmp_path / "README.md"
    page.write_text(f"a\n{BEGIN}\nstale\n{END}\nb\n")
    render(report, page)
    text = page.read_text()
    assert "3 cases in 3 rounds, 1 over 20 ms" in text
    assert "stale" not in text
    assert text.startswith(f"a\n{BEGIN}\n")
    assert text.endswith(f"{END}\nb\n")
    assert "| once | 2.0 | 90.0 |" in text
