"""Runs the benchmark: ``python bench/run.py [--quick] [--scenario NAME]... [--peer NAME]... [--rounds N]``.

All contenders of a scenario answer in turn, round after round, through one nats-server, so that what the
machine does meanwhile meets all of them. Stores every round's report; draws nothing that is not stored.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine, render
from bench.contenders import Contender, ContenderFailed, Skipped, contender, instance
from bench.generator import ROOT, Generator, GeneratorFailed
from bench.results import FORMAT, RESULTS, Results
from bench.scenarios import OURS, SCENARIOS, Scenario, quick
from bench.servers import Servers

WORK: Final = ROOT / "bench" / "work"


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; status 1 when a contender failed or gave wrong answers."""
    options = _parser().parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 5)
    scenarios = [one for one in SCENARIOS if not options.scenario or one.name in options.scenario]
    if options.quick:
        scenarios = [quick(one) for one in scenarios]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # what was started is stopped on the way
    options.work.mkdir(parents=True, exist_ok=True)
    results = run(scenarios, options)
    stored = _store(results, options)
    _say(f"stored as {stored}")
    if stored.parent == RESULTS:
        for path in [
            *render.draw_charts(Results(results), render.CHARTS_DIRECTORY),
            *render.write_tables(Results(results)),
        ]:
            _say(f"wrote {path}")
    return 1 if results["failures"] else 0


def run(scenarios: list[Scenario], options: argparse.Namespace) -> dict[str, Any]:
    """Measure the scenarios; returns what is stored."""
    generator = Generator(release=not options.quick)
    names = dict.fromkeys(name for one in scenarios for name in one.contenders)
    wanted = [name for name in names if not options.peer or name in options.peer]
    contenders, skipped = _prepared(wanted, options.work)
    results: dict[str, Any] = {
        "format": FORMAT,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "commit": machine.commit(),
        "build_profile": generator.profile,
        "machine": machine.machine(),
        "rounds": options.rounds,
        "skipped": skipped,
        "failures": [],
        "scenarios": {},
    }
    with Servers(options.work) as servers:
        results["versions"] = machine.versions() | servers.versions()
        for scenario in scenarios:
            servers.load(scenario.dataset, generator, _say)
            taking = [contenders[name] for name in scenario.contenders if name in contenders]
            bench = _Bench(generator, servers, options)
            results["scenarios"][scenario.name] = bench.measure(scenario, taking)
            results["failures"] += bench.failures
    return results


class _Bench:
    """Measures scenarios with one generator and one pair of servers."""

    def __init__(self, generator: Generator, servers: Servers, options: argparse.Namespace) -> None:
        self.generator = generator
        self.servers = servers
        self.options = options
        self.failures: list[str] = []

    def measure(self, scenario: Scenario, contenders: list[Contender]) -> dict[str, Any]:
        """All rounds of one scenario; the order of the contenders turns round with each."""
        _say(f"{scenario.name}: {scenario.title}")
        rounds: dict[str, list[dict[str, Any]]] = {one.name: [] for one in contenders}
        for number in range(self.options.rounds):
            for one in contenders if number % 2 == 0 else reversed(contenders):
                try:
                    report = self.once(scenario, one)
                except (ContenderFailed, GeneratorFailed) as error:
                    self._fail(f"{scenario.name}, {one.name}: {error}")
                    continue
                rounds[one.name].append(report)
                _say(f"  {number + 1} {_line(one, report)}")
                if wrong := _wrong(one, report["faults"]):
                    self._fail(f"{scenario.name}, {one.name}: wrong answers: {wrong}")
        described = {one.name: {"title": one.title, "rounds": rounds[one.name]} for one in contenders}
        return {"title": scenario.title, "options": scenario.options(), "contenders": described}

    def once(self, scenario: Scenario, one: Contender) -> dict[str, Any]:
        """One round of one contender: a process of its own, started for it."""
        seconds = scenario.seconds or self.options.seconds
        with one.running(scenario, self.servers, self.options.work) as pid:
            watched = self.servers.pids | {"responder": pid}
            report = self.generator.run(
                [
                    f"--nats={self.servers.nats.url}",
                    f"--instance={instance(one)}",
                    f"--expect={one.answers}",
                    f"--duration={seconds}",
                    *(f"--watch={name}={number}" for name, number in watched.items()),
                    *scenario.options(),
                ]
            )
        if "flush-at" in scenario.load:
            report["flush_at"] = scenario.load["flush-at"]
        return report

    def _fail(self, text: str) -> None:
        _say(f"  {text}")
        self.failures.append(text)


def _prepared(names: list[str], work: Path) -> tuple[dict[str, Contender], list[str]]:
    """Contenders that can run here, and why the others cannot."""
    contenders, skipped = {}, []
    for name in names:
        try:
            contenders[name] = contender(name, work / "peers")
        except Skipped as reason:
            _say(str(reason))
            skipped.append(str(reason))
    return contenders, skipped


def _wrong(one: Contender, faults: dict[str, int]) -> dict[str, int]:
    """Faults that spoil the figures; a peer may lose gets in an open loop that is beyond it."""
    forgiven = set() if one.name.startswith(OURS) else {"lost", "late"}
    return {kind: count for kind, count in faults.items() if count and kind not in forgiven}


def _line(one: Contender, report: dict[str, Any]) -> str:
    usage, latency = report["watched"]["responder"], report["latency_us"]
    cpu = usage["cpu_us_per_get"]
    return (
        f"{one.name:<22} {report['gets_per_second']:>9,.0f} gets/s"
        f" {usage['cpu_seconds'] if cpu is None else cpu:>7.2f} {'s' if cpu is None else 'µs/get'}"
        f"  p50 {latency['p50']:>8,.0f} p99 {latency['p99']:>8,.0f} µs  {usage['rss_bytes'] / 1e6:>6.0f} MB"
    )


def _store(results: dict[str, Any], options: argparse.Namespace) -> Path:
    """A partial or quick run stays out of the way of the complete ones."""
    complete = not (options.quick or options.scenario or options.peer)
    directory = RESULTS if complete else options.work / "results"
    directory.mkdir(parents=True, exist_ok=True)
    stamp = results["started"][:16].replace(":", "").replace("-", "")
    path = directory / f"bench-{stamp}-{results['commit'].rstrip('+')}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [one.name for one in SCENARIOS]
    peers = sorted({name for one in SCENARIOS for name in one.contenders})
    parser.add_argument("--quick", action="store_true", help="tiny input, one round: whether it runs")
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--peer", action="append", choices=peers, metavar="NAME", help=", ".join(peers))
    parser.add_argument("--rounds", type=int, help="rounds of each scenario (5; quick: 1)")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured seconds of a round (4)")
    parser.add_argument("--work", type=Path, default=WORK, help="servers' data, builds, logs (bench/work)")
    return parser


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
