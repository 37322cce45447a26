"""Runs the benchmark: ``python bench/run.py [--quick] [--scenario NAME]... [--peer NAME]... [--rounds N]``.

All contenders of a scenario answer in turn, round after round, through one nats-server, so that what the
machine does meanwhile meets all of them, and ours in the scenario's baseline next to ours in the scenario.
Stores every round's report; draws nothing that is not stored.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine, render
from bench.contenders import Contender, ContenderFailed, Skipped, contender, instance
from bench.generator import ROOT, Generator, GeneratorFailed
from bench.results import Results
from bench.scenarios import OURS, OURS_BASELINE, SCENARIOS, Dataset, Scenario, quick
from bench.servers import Servers
from bench.storing import CannotResume, Unfinished

WORK: Final = ROOT / "bench" / "work"
ROUNDS: Final = 3
SECONDS: Final = 2.0


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; status 1 when a contender failed or gave wrong answers."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # what was started is stopped on the way
    options.work.mkdir(parents=True, exist_ok=True)
    try:
        finished = run(options)
    except CannotResume as error:
        _say(str(error))
        return 2
    stored = finished.finish(options.work)
    _say(f"stored as {stored}")
    if finished.complete:
        results = Results(finished.content)
        for path in [*render.draw_charts(results, render.CHARTS_DIRECTORY), *render.write_tables(results)]:
            _say(f"wrote {path}")
    for failure in finished.content["failures"]:
        _say(f"failed: {failure}")
    return 1 if finished.content["failures"] else 0


def run(options: argparse.Namespace) -> Unfinished:
    """Measure what is asked for, or what is left of it. Raises CannotResume."""
    # What is resumed may be quick or not; a wrong guess here is refused for its build profile.
    generator = Generator(release=not options.quick)
    if options.resume:
        unfinished = Unfinished.read(options.resume, generator.profile)
    else:
        unfinished = Unfinished.begin(options.work, _plan(options), generator.profile)
    plan = unfinished.content
    scenarios = _scenarios(plan)
    names = dict.fromkeys(name for one in scenarios for name in one.contenders)
    wanted = [name for name in names if not plan["peer"] or name in plan["peer"]]
    contenders, plan["skipped"] = _prepared(wanted, options.work)
    left = [one for one in scenarios if not unfinished.measured(one.name)]
    try:
        with Servers(options.work) as servers:
            plan["versions"] = machine.versions() | servers.versions()
            for dataset in _datasets(left):  # before any is measured: the store is busy for a while after it
                servers.load(dataset, generator, _say)
            bench = _Bench(generator, servers, options.work, plan)
            bench.measure_all(left, contenders, unfinished)
    except BaseException:
        if unfinished.path.exists():
            _say(f"go on from what was measured: bench/run.py --resume {unfinished.path}")
        raise
    return unfinished


def _scenarios(plan: dict[str, Any]) -> list[Scenario]:
    chosen = [one for one in SCENARIOS if not plan["scenario"] or one.name in plan["scenario"]]
    return [quick(one) for one in chosen] if plan["quick"] else chosen


def _datasets(scenarios: list[Scenario]) -> Iterable[Dataset]:
    return dict.fromkeys(dataset for scenario in scenarios for dataset in scenario.datasets)


def _plan(options: argparse.Namespace) -> dict[str, Any]:
    """What is measured and how long: what a resumed run must keep to."""
    return {
        "quick": options.quick,
        "rounds": options.rounds or (1 if options.quick else ROUNDS),
        "seconds": options.seconds,
        "scenario": options.scenario,
        "peer": options.peer,
    }


@dataclass(frozen=True, slots=True)
class Slot:
    """One place in the turn of a round: a contender, in the scenario itself or in its baseline."""

    name: str
    title: str
    contender: Contender
    scenario: Scenario


def slots(scenario: Scenario, contenders: Iterable[Contender]) -> list[Slot]:
    """All of a round, in its order; ours and its baseline are neighbours."""
    made = []
    for one in contenders:
        made.append(Slot(one.name, one.title, one, scenario))
        if one.name == OURS and (baseline := scenario.baseline):
            made.append(Slot(OURS_BASELINE, f"{one.title}, {baseline.name} in the same round", one, baseline))
    return made


class Progress:
    """How much is left, told from what was done so far."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._done = 0
        self._begun = time.monotonic()

    def step(self) -> str:
        """One slot is done; what is left."""
        self._done += 1
        each = (time.monotonic() - self._begun) / self._done
        return f"{self._done}/{self._slots}, {each * (self._slots - self._done) / 60:.0f} min left"


class _Bench:
    """Measures scenarios with one generator and one pair of servers."""

    def __init__(self, generator: Generator, servers: Servers, work: Path, plan: dict[str, Any]) -> None:
        self.generator = generator
        self.servers = servers
        self.work = work
        self.plan = plan
        self.failures: list[str] = []
        self.progress = Progress(0)

    def measure_all(
        self, scenarios: list[Scenario], contenders: dict[str, Contender], unfinished: Unfinished
    ) -> None:
        """One scenario after the other, each kept as soon as it is measured."""
        taking = {
            one.name: slots(one, [contenders[name] for name in one.contenders if name in contenders])
            for one in scenarios
        }
        self.progress = Progress(sum(map(len, taking.values())) * self.plan["rounds"])
        for scenario in scenarios:
            described = self.measure(scenario, taking[scenario.name])
            unfinished.add(scenario.name, described, self.failures)
            self.failures = []

    def measure(self, scenario: Scenario, turn: list[Slot]) -> dict[str, Any]:
        """All rounds of one scenario; the order of the turn is reversed with each."""
        _say(f"{scenario.name}: {scenario.title}")
        rounds: dict[str, list[dict[str, Any]]] = {one.name: [] for one in turn}
        for number in range(1, self.plan["rounds"] + 1):
            for one in turn if number % 2 else reversed(turn):
                try:
                    report = self.once(one.scenario, one.contender)
                except (ContenderFailed, GeneratorFailed) as error:
                    self._fail(f"{scenario.name}, {one.name}: {error}")
                    self.progress.step()
                    continue
                rounds[one.name].append({"round": number} | report)
                _say(f"  {number} {_line(one.name, report)}  ({self.progress.step()})")
                if wrong := _wrong(one.contender, report["faults"]):
                    self._fail(f"{scenario.name}, {one.name}: wrong answers: {wrong}")
        described = {one.name: {"title": one.title, "rounds": rounds[one.name]} for one in turn}
        return {"title": scenario.title, "options": scenario.options(), "contenders": described}

    def once(self, scenario: Scenario, one: Contender) -> dict[str, Any]:
        """One round of one contender: a process of its own, started for it."""
        seconds = scenario.seconds or self.plan["seconds"]
        with one.running(scenario, self.servers, self.work) as pid:
            watched = self.servers.pids | {"responder": pid}
            report = self.generator.run(
                [
                    f"--nats={self.servers.nats.url}",
                    f"--instance={instance(one)}",
                    f"--expect={one.answers}",
                    f"--duration={seconds}",
                    *(f"--watch={name}={number}" for name, number in watched.items()),
                    *self.servers.writer(scenario),
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


def _line(name: str, report: dict[str, Any]) -> str:
    usage, latency = report["watched"]["responder"], report["latency_us"]
    cpu = usage["cpu_us_per_get"]
    return (
        f"{name:<22} {report['gets_per_second']:>9,.0f} gets/s"
        f" {usage['cpu_seconds'] if cpu is None else cpu:>7.2f} {'s' if cpu is None else 'µs/get'}"
        f"  p50 {latency['p50']:>8,.0f} p99 {latency['p99']:>8,.0f} µs  {usage['rss_bytes'] / 1e6:>6.0f} MB"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [one.name for one in SCENARIOS]
    peers = sorted({name for one in SCENARIOS for name in one.contenders})
    parser.add_argument("--quick", action="store_true", help="tiny input, one round: whether it runs")
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--peer", action="append", choices=peers, metavar="NAME", help=", ".join(peers))
    parser.add_argument("--rounds", type=int, help=f"rounds of each scenario ({ROUNDS}; quick: 1)")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"measured seconds of a round ({SECONDS:g})"
    )
    parser.add_argument(
        "--resume", type=Path, metavar="FILE", help="go on with a run that was stopped, with its options"
    )
    parser.add_argument("--work", type=Path, default=WORK, help="servers' data, builds, logs (bench/work)")
    return parser


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
