"""Writes a second and their latency over 19/EPMMP and REST, batches of 1000, and gets beside writes.

``python bench/writes.py [--quick] [--scenario NAME]... [--rounds N]``. All scenarios run in turn, round after
round, through one nats-server and one mongod; the service is a process of its own, as users start it, and the
clients are this one. Stores every round's report; draws nothing that is not stored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvloop

from bench import machine, write_tables
from bench.contenders import Skipped
from bench.generator import ROOT, Generator
from bench.registers import Register, register
from bench.servers import Servers
from bench.write_scenarios import SCENARIOS, Bench, Options, Scenario

WORK: Final = ROOT / "bench" / "work"
FORMAT: Final = 3


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; status 1 when a write was refused or a get answered wrongly."""
    options = _parser().parse_args(arguments)
    rounds = options.rounds or (1 if options.quick else 3)
    scenarios = [one for one in SCENARIOS if not options.scenario or one.name in options.scenario]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # what was started is stopped on the way
    options.work.mkdir(parents=True, exist_ok=True)
    results = run(scenarios, rounds, options)
    stored = _store(results, options)
    _say(f"stored as {stored}")
    if stored.parent == write_tables.RESULTS:
        for path in write_tables.write(results):
            _say(f"wrote {path}")
    return 1 if results["failures"] else 0


def run(scenarios: Sequence[Scenario], rounds: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the scenarios, all of them in each round; returns what is stored."""
    generator = Generator(release=not options.quick)
    quick, full = Options(1.0, 0.2, 500, 100, 4), Options(options.seconds, 1.0, 10_000, 1000, options.phases)
    sizes = quick if options.quick else full
    results: dict[str, Any] = {
        "format": FORMAT,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "commit": machine.commit(),
        "build_profile": generator.profile,
        "machine": machine.machine(),
        "rounds": rounds,
        "failures": [],
        "scenarios": {one.name: {"title": one.title, "contenders": {}} for one in scenarios},
        "contenders": {},
    }
    with Servers(options.work) as servers:
        results["versions"] = machine.versions() | servers.versions()
        bench = Bench(servers, generator, sizes, options.work)
        bench.load()
        registers = _registers(scenarios, options, results)
        for number in range(rounds):
            for one in scenarios if number % 2 == 0 else reversed(scenarios):
                for name in one.contenders if number % 2 == 0 else reversed(one.contenders):
                    if name in registers:
                        bench.register = registers[name]
                        _measure(bench, one, number, results)
    return results


def _registers(
    scenarios: Sequence[Scenario], options: argparse.Namespace, results: dict[str, Any]
) -> dict[str, Register]:
    """Those that the scenarios need and this machine can run."""
    found: dict[str, Register] = {}
    for name in dict.fromkeys(name for one in scenarios for name in one.contenders):
        if options.contender and name not in options.contender:
            continue
        try:
            found[name] = register(name, options.work)
        except Skipped as why:
            _say(str(why))
        else:
            results["contenders"][name] = found[name].title
    return found


def _measure(bench: Bench, one: Scenario, number: int, results: dict[str, Any]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(one.measure(bench))
    name = bench.register.name
    results["scenarios"][one.name]["contenders"].setdefault(name, []).append(report)
    _say(f"  {number + 1} {one.name:<16} {name:<12} {_line(report)}")
    if report["refused"] or report.get("faults"):
        results["failures"].append(f"{one.name}, {name}: refused or wrong: {report}")


def _line(report: dict[str, Any]) -> str:
    parts = []
    if "gets_per_second" in report:
        kept = " ".join(f"{share:.2f}" for share in report["kept"])
        parts.append(f"{report['gets_per_second']:>9,.0f} gets/s  kept {kept}")
    if "writes_per_second" in report:
        latency = report["latency_us"]
        parts.append(f"{report['writes_per_second']:>7,.0f} writes/s")
        parts.append(f"p50 {latency['p50'] / 1000:.1f} p99 {latency['p99'] / 1000:.1f} ms")
    if "cpu_us_per_write" in report:
        parts += [f"{name} {value:.0f}" for name, value in report["cpu_us_per_write"].items()]
    return "  ".join(parts)


def _store(results: dict[str, Any], options: argparse.Namespace) -> Path:
    """A partial or quick run stays out of the way of the complete ones."""
    complete = not (options.quick or options.scenario or options.contender)
    directory = write_tables.RESULTS if complete else options.work / "results"
    directory.mkdir(parents=True, exist_ok=True)
    stamp = results["started"][:16].replace(":", "").replace("-", "")
    path = directory / f"writes-{stamp}-{results['commit'].rstrip('+')}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [one.name for one in SCENARIOS]
    parser.add_argument("--quick", action="store_true", help="tiny input, one round: whether it runs")
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--contender", action="append", metavar="NAME", help="only these of each scenario (default: all)"
    )
    parser.add_argument("--rounds", type=int, help="rounds of each scenario (3; quick: 1)")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured seconds of a round (4)")
    parser.add_argument(
        "--phases", type=int, default=5, help="phases with writes, of a round's gets beside writes (5)"
    )
    parser.add_argument("--work", type=Path, default=WORK, help="servers' data, logs (bench/work)")
    return parser


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
