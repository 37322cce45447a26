"""Prints measured against target: ``python bench/report.py [RESULTS.json]``; status 1 when one is short."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.charts import spread_text
from bench.results import Results, newest
from bench.targets import TARGETS


def lines(results: Results) -> list[tuple[str, str, str, str]]:
    """Text, target, measured and verdict of each target."""
    rows = []
    for target in TARGETS:
        value = target.measure(results)
        if value is None:
            rows.append((target.text, target.bound, "", "not measured"))
        else:
            verdict = ("pass" if target.reached(value.median) else "SHORT") if target.judged else ""
            rows.append((target.text, target.bound, f"{spread_text(value)} {target.unit}", verdict))
    return rows


def main(arguments: list[str]) -> int:
    """Judge the named results, or the newest."""
    path = Path(arguments[0]) if arguments else newest()
    if path is None:
        print("no stored results: run `make bench` first", file=sys.stderr)
        return 2
    rows = lines(Results.read(path))
    print(f"{path.name}")
    for text, bound, measured, verdict in rows:
        print(f"{text:<64} {bound:>14} {measured:>30}  {verdict}")
    return 1 if any(verdict == "SHORT" for *_, verdict in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
