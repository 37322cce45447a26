"""Tables of the writes, from a stored run: ``python bench/write_tables.py [RESULTS.json]``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import write_targets
from bench.charts import number_text
from bench.generator import ROOT
from bench.registers import OURS

RESULTS: Final = ROOT / "bench" / "results"
BEGIN: Final = "<!-- writes:begin -->"
END: Final = "<!-- writes:end -->"
SHORT: Final = ROOT / "README.md"
FULL: Final = ROOT / "bench" / "README.md"
FORMAT: Final = 3
"""Of results that hold several contenders; older ones are drawn no more."""
IN_SHORT: Final = ("key-update", "put-key", "key-batch", "register-batch")

Report = dict[str, Any]
Figure = Callable[[Report], float]


def write(results: dict[str, Any]) -> list[Path]:
    """Writes the tables into the READMEs, where their markers are; returns the files written."""
    written = []
    for path, text in ((SHORT, short(results)), (FULL, full(results))):
        if path.exists() and BEGIN in (old := path.read_text()):
            pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
            new = f"{BEGIN}\n{text.strip()}\n{END}"
            path.write_text(pattern.sub(lambda _, new=new: new, old, count=1))  # type: ignore[misc]
            written.append(path)
    return written


def short(results: dict[str, Any]) -> str:
    """For the project's README: throughput, and what gets keep."""
    return "\n\n".join([_writes(results, IN_SHORT), *_kept(results), _provenance(results)])


def full(results: dict[str, Any]) -> str:
    """For the benchmark's README."""
    names = [name for name in results["scenarios"] if not name.startswith("gets")]
    return "\n\n".join([_provenance(results), _targets(results), _writes(results, names), *_kept(results)])


def _targets(results: dict[str, Any]) -> str:
    rows = []
    for target, figures in write_targets.rows(results):
        bound = f"{'≥' if target.at_least else '≤'} {number_text(target.bound)}"
        verdict = "reached" if target.met(median(figures)) else "SHORT"
        rows.append([target.title, bound, _spread(figures), verdict])
    return _table(["figure", "to reach", "measured", ""], rows)


def _latency(quantile: str) -> Figure:
    return lambda report: report["latency_us"][quantile] / 1000


def _cpu(process: str) -> Figure:
    return lambda report: report["cpu_us_per_write"][process]


_COLUMNS: Final[tuple[tuple[str, Figure], ...]] = (
    ("writes/s", lambda report: report["writes_per_second"]),
    ("p50 ms", _latency("p50")),
    ("p99 ms", _latency("p99")),
    ("CPU µs/write: register", _cpu("bench-register")),
    ("mongod", _cpu("mongo")),
    ("nats-server", _cpu("nats")),
    ("clients", _cpu("load")),
)


def _writes(results: dict[str, Any], names: Sequence[str]) -> str:
    rows = []
    for name in names:
        for contender, title in results["contenders"].items():
            if rounds := _rounds(results, name, contender):
                cells = [_spread([figure(one) for one in rounds]) for _, figure in _COLUMNS]
                rows.append([results["scenarios"][name]["title"], title, *cells])
    return _table(["", "register", *(heading for heading, _ in _COLUMNS)], rows)


def _kept(results: dict[str, Any]) -> Iterator[str]:
    """Gets beside writes: each phase with writes over those without before and after it, of all rounds."""
    rows = []
    for name, scenario in results["scenarios"].items():
        rounds = _rounds(results, name, OURS)
        if not name.startswith("gets") or not rounds:
            continue
        rows.append(
            [
                scenario["title"],
                _spread([one["gets_per_second_alone"] for one in rounds]),
                _spread([one["gets_per_second"] for one in rounds]),
                _spread([share for one in rounds for share in one["kept"]]),
                _spread([one["writes_per_second"] for one in rounds]),
                _spread([one["latency_us"]["p50"] / 1000 for one in rounds]),
                _spread([one["latency_us"]["p99"] / 1000 for one in rounds]),
            ]
        )
    if rows:
        head = ["writes at a share of what the register takes", "gets/s, no writes", "beside writes", "kept"]
        yield _table([*head, "writes/s held", "write p50 ms", "p99 ms"], rows)


def _rounds(results: dict[str, Any], name: str, contender: str) -> list[Report]:
    scenario = results["scenarios"].get(name, {"contenders": {}})
    rounds: list[Report] = scenario["contenders"].get(contender, [])
    return rounds


def _spread(values: list[float]) -> str:
    numbers = [number_text(value) for value in (median(values), min(values), max(values))]
    return numbers[0] if numbers[1] == numbers[2] else f"{numbers[0]} ({numbers[1]} to {numbers[2]})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _provenance(results: dict[str, Any]) -> str:
    machine, versions = results["machine"], results["versions"]
    named = ", ".join(f"{name} {versions[name]}" for name in ("python", "motor", "nats-server", "mongod"))
    made = f"{results['started'][:10]} at commit {results['commit']}, {results['build_profile']} build"
    return (
        f"Measured {made}, on {machine['cpu']}, {machine['cores']} cores, "
        f"Linux {machine['kernel']}; {named}. "
        f"Medians of {results['rounds']} rounds (least to most). Clients, servers and service share cores."
    )


def newest() -> Path | None:
    """The latest stored run of this format."""
    runs = sorted(RESULTS.glob("writes-*.json"), reverse=True)
    return next((path for path in runs if json.loads(path.read_text())["format"] == FORMAT), None)


def main(arguments: list[str]) -> int:
    """Write the tables of the named results, or of the newest."""
    path = Path(arguments[0]) if arguments else newest()
    if path is None:
        print("no stored results: run `make bench-writes` first", file=sys.stderr)
        return 2
    for written in write(json.loads(path.read_text())):
        print(f"wrote {written}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
