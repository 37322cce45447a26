"""Draws the charts and writes the tables from stored results: ``python bench/render.py [RESULTS.json]``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import charts, report
from bench.charts import spread_text
from bench.generator import ROOT
from bench.results import RESULTS, Results, newest
from bench.scenarios import OURS

BEGIN: Final = "<!-- bench:begin -->"
END: Final = "<!-- bench:end -->"
SHORT: Final = ROOT / "README.md"
FULL: Final = ROOT / "bench" / "README.md"
CHARTS_DIRECTORY: Final = RESULTS / "charts"
Row = list[str]


def draw_charts(results: Results, directory: Path) -> list[Path]:
    """Write the charts; returns the files written."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in _charts(results):
        path = directory / f"{name}.svg"
        path.write_text(text)
        written.append(path)
    return written


def write_tables(results: Results) -> list[Path]:
    """Write the tables into the READMEs, where their markers are; returns the files written."""
    written = []
    for path, text in ((SHORT, short_table(results)), (FULL, full_tables(results))):
        if path.exists() and BEGIN in (old := path.read_text()):
            path.write_text(between_markers(old, text))
            written.append(path)
    return written


def between_markers(old: str, text: str) -> str:
    """``old`` with ``text`` in place of what stands between the markers."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{text.strip()}\n{END}", old, count=1)


def short_table(results: Results) -> str:
    """The canonical scenario, for the project's README."""
    return f"{_scenario_table(results, 'canonical')}\n\n{_provenance(results)}\n"


def full_tables(results: Results) -> str:
    """Targets and every scenario, for the benchmark's README."""
    parts = [_provenance(results), "### Targets", _targets(results)]
    for name, scenario in results.content["scenarios"].items():
        parts += [f"### {name}: {scenario['title']}", _scenario_table(results, name)]
    return "\n\n".join(parts)


def _targets(results: Results) -> str:
    head = ["figure", "target", "measured", ""]
    return _table(head, [list(row) for row in report.lines(results)])


COLUMNS: Final = (
    ("gets/s", "gets_per_second", 1.0),
    ("CPU µs/get", "cpu", 1.0),
    ("nats-server CPU µs/get", "nats_cpu", 1.0),
    ("p50 µs", "p50", 1.0),
    ("p99 µs", "p99", 1.0),
    ("p99.9 µs", "p999", 1.0),
    ("RSS MB", "rss", 1e-6),
)
"""Heading, figure, scale."""


def _scenario_table(results: Results, scenario: str) -> str:
    """Medians with the least and the most of the rounds; CPU and rate also as ratios to ours."""
    rows = []
    for name, contender in results.content["scenarios"][scenario]["contenders"].items():
        if not contender["rounds"]:
            continue
        cells = [contender["title"] if name != OURS else f"**{contender['title']}**"]
        for _, figure, scale in COLUMNS:
            cells.append(_cell(results, scenario, name, figure, scale))
        rows.append(cells)
    return _table(["", *(heading for heading, _, _ in COLUMNS)], rows)


def _cell(results: Results, scenario: str, name: str, figure: str, scale: float) -> str:
    spread = results.spread(scenario, name, figure)
    if spread is None:
        return ""
    text = spread_text(spread.scaled(scale))
    if figure in {"gets_per_second", "cpu"} and name != OURS:
        ratio = results.ratio(scenario, (name, figure), (OURS, figure))
        text += f" · {ratio.median:.2g} times" if ratio else ""
    return text


def _provenance(results: Results) -> str:
    content = results.content
    machine, versions = content["machine"], content["versions"]
    made = f"{content['started'][:10]} at commit {content['commit']} ({content['build_profile']} build)"
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB"
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    skipped = "".join(f" {reason}." for reason in content["skipped"])
    return (
        f"Measured {made} on {where}, Linux {machine['kernel']}; {named}. "
        f"Medians of {content['rounds']} rounds (least to most); factors are to kaa-epr in the same round, "
        f"medians too.{skipped}"
    )


def _table(head: Row, rows: list[Row]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


CHARTS: Final = (
    ("canonical-cpu", "canonical", "cpu", "CPU of the responder per get", "µs, less is better"),
    ("canonical-rate", "canonical", "gets_per_second", "Gets answered a second", "gets/s, more is better"),
    (
        "cold-rate",
        "cold",
        "gets_per_second",
        "Gets a second when every get is a miss",
        "gets/s, more is better",
    ),
    ("window-1-p50", "window-1", "p50", "Median latency of one get at a time", "µs, less is better"),
)


def _charts(results: Results) -> Iterator[tuple[str, str]]:
    for name, scenario, figure, title, unit in CHARTS:
        found = results.content["scenarios"].get(scenario, {"contenders": {}})["contenders"]
        spreads = [(key, one["title"], results.spread(scenario, key, figure)) for key, one in found.items()]
        rows = [charts.Bar(title, spread, key.startswith(OURS)) for key, title, spread in spreads if spread]
        if rows:
            yield name, charts.bars(title, unit, sorted(rows, key=lambda row: row.value.median))
    rounds: list[dict[str, Any]] = results.rounds("flush", OURS)
    if rounds:
        middle = sorted(rounds, key=lambda one: one["gets"])[len(rounds) // 2]
        step = middle["series"]["interval_ms"] / 1000
        rates = [count / step for count in middle["series"]["right"]]
        title = "Gets a second while the whole cache is dropped"
        yield "flush", charts.line(title, "gets/s; dashed: the flush", step, rates, middle["flush_at"])


def main(arguments: list[str]) -> int:
    """Render the named results, or the newest."""
    path = Path(arguments[0]) if arguments else newest()
    if path is None:
        print("no stored results: run `make bench` first", file=sys.stderr)
        return 2
    results = Results.read(path)
    for written in [*draw_charts(results, CHARTS_DIRECTORY), *write_tables(results)]:
        print(f"wrote {written}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
