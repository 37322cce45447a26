"""How long hostile requests hold the event loop: each of the corpus, alone, against a service of its own.

The longest time is stored for each of them in ``bench/results`` and rendered into ``bench/README.md``. What
counts is what the process computed while a timer of the loop was overdue (``management/loop_watch.py``), so a
busy machine makes it no longer than it is. ``--rounds 1`` for a taste.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import nats
from pymongo import MongoClient

from bench.generator import ROOT
from bench.machine import commit, machine, versions
from bench.results import RESULTS
from kaa_epr.embedded import start_mongod, start_nats
from tests.support.hostile.attack import Attack
from tests.support.hostile.corpus import REQUESTS, Entry, corpus
from tests.support.hostile.watched import BOUND, Watched, watched

LOUD_SECONDS: Final = 0.001
"""Delays of the loop that the service tells of."""
ROUNDS: Final = 3
SHOWN: Final = 20
"""Cases that the table shows: those that hold the loop longest."""
README: Final = ROOT / "bench" / "README.md"
BEGIN: Final = "<!-- hostile:begin -->"
END: Final = "<!-- hostile:end -->"


@contextmanager
def attacked() -> Iterator[tuple[Watched, str, Any]]:
    """A service with servers of its own, the address of NATS, and the collection behind it."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        nats_server, mongo_server = start_nats(directory), start_mongod(directory / "mongo")
        database = f"hostile_{secrets.token_hex(6)}"
        settings = {"management": {"port": 0, "loop_interval": 0.001, "loop_warning": LOUD_SECONDS}}
        try:
            with (
                MongoClient[dict[str, Any]](mongo_server.uri) as client,
                watched(directory, nats_server.url, mongo_server.uri, "epr", database, **settings) as service,
            ):
                yield service, nats_server.url, client[database]["endpoints"]
        finally:
            mongo_server.stop()
            nats_server.stop()


async def measure(entries: Sequence[Entry], rounds: int) -> list[dict[str, Any]]:
    """Each case once a round, one after the other."""
    cases: list[dict[str, Any]] = [{"case": str(entry), "held_ms": []} for entry in entries]
    with attacked() as (service, url, collection):
        nc = await nats.connect(url)
        try:
            attack = Attack(service, nc, collection)
            attack.invite()
            for _ in range(rounds):
                for entry, case in zip(entries, cases, strict=True):
                    case["held_ms"].append(round(await attack.held(entry) * 1000, 2))
        finally:
            await nc.close()
    return cases


def run(entries: Sequence[Entry], rounds: int) -> dict[str, Any]:
    """The report."""
    begun = time.strftime("%Y%m%dT%H%M", time.gmtime())
    return {
        "kind": "hostile",
        "begun": begun,
        "bound_ms": BOUND * 1000,
        "rounds": rounds,
        "cases": asyncio.run(measure(entries, rounds)),
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
    }


def over(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Cases beyond the bound, by the median of their rounds."""
    return [case for case in report["cases"] if median(case["held_ms"]) > report["bound_ms"]]


def longest(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Cases, those that hold the loop longest first."""
    cases: list[dict[str, Any]] = report["cases"]
    return sorted(cases, key=lambda case: (-median(case["held_ms"]), -max(case["held_ms"])))


def table(report: dict[str, Any]) -> str:
    """For the README."""
    where, cases = report["machine"], report["cases"]
    medians = [median(case["held_ms"]) for case in cases]
    rows = [
        f"| {case['case']} | {median(case['held_ms']):.1f} | {max(case['held_ms']):.1f} |"
        for case in longest(report)[:SHOWN]
    ]
    shortest = max(median(medians), LOUD_SECONDS * 1000)
    machine_text = f"{where['cpu']}, {where['cores']} cores, load average {where['load_average']:.1f}"
    said = (
        f"Measured {report['begun'][:8]} at commit {report['commit']}, on {machine_text}: {len(cases)} cases"
        f" in {report['rounds']} rounds, {len(over(report))} over {report['bound_ms']:g} ms."
        f" Half of them take less than {shortest:.1f} ms; the {SHOWN} that take longest:"
    )
    return "\n".join([said, "", "| case | ms held, median | most |", "| --- | --- | --- |", *rows])


def render(report: dict[str, Any], path: Path = README) -> None:
    """The table in its place."""
    block = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    path.write_text(block.sub(lambda _: f"{BEGIN}\n{table(report)}\n{END}", path.read_text()))


def main() -> int:
    """Exit status: 1 if a case exceeds the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="cases whose names hold this; nothing is stored")
    options = parser.parse_args()
    entries = [entry for file in REQUESTS for entry in corpus(file) if options.only in str(entry)]
    report = run(entries, options.rounds)
    for case in longest(report)[:SHOWN]:
        print(f"{median(case['held_ms']):8.2f} {max(case['held_ms']):8.2f} ms  {case['case']}")
    if not options.only and options.rounds >= ROUNDS:
        name = f"hostile-{report['begun']}-{report['commit'].rstrip('+')}.json"
        (RESULTS / name).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        render(report)
    return int(bool(over(report)))


if __name__ == "__main__":
    sys.exit(main())
