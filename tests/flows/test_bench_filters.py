"""The benchmark of filters, on few pairs."""

from __future__ import annotations

from bench.filters import run


def test_pairs_are_judged_by_a_mongod_of_its_own() -> None:
    report = run(3000, "taste", timed=False)
    for judged in (report["queries_over_documents"], report["expressions_over_texts"]):
        assert judged["pairs"] >= 3000
        assert judged["accepted"] > 10
        assert judged["differ"] == []
