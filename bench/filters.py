"""Filters: a million random pairs of query and document, as many of expression and text, judged by mongod.

What came of it is stored in ``bench/results``. ``--pairs 20000`` for a taste; ``--no-times``: verdicts only.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bson
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from bench.generator import ROOT
from bench.machine import commit, machine, versions
from bench.results import RESULTS
from kaa_epr._core import Filter, FilterError
from kaa_epr.embedded import start_mongod
from tests.support.filter_oracle import Oracle
from tests.support.filter_pairs import Maker
from tests.support.filter_patterns import PatternMaker

DOCUMENTS: Final = 60
"""Stored at a time."""
QUERIES: Final = 40
"""Held against the same documents."""


def pairs(oracle: Oracle, wanted: int, seed: str) -> dict[str, Any]:
    """Random queries over random documents, until so many pairs of accepted queries were judged."""
    judged = blocks = accepted = 0
    failures: list[str] = []
    while judged < wanted:
        maker = Maker(random.Random(f"{seed}:{blocks}"))
        oracle.store([maker.endpoint(number) for number in range(DOCUMENTS)])
        for _ in range(QUERIES):
            try:
                found = oracle.judge(maker.filter())
            except AssertionError as error:
                failures.append(f"block {blocks}: {error}")
            else:
                judged += found
                accepted += found > 0
        blocks += 1
    queries = blocks * QUERIES
    return {"pairs": judged, "queries": queries, "accepted": accepted, "differ": failures, "blocks": blocks}


def patterns(collection: Any, wanted: int, seed: str) -> dict[str, Any]:
    """Random regular expressions over random texts."""
    judged = blocks = accepted = 0
    failures: list[str] = []
    while judged < wanted:
        maker = PatternMaker(random.Random(f"{seed}:{blocks}"))
        texts = sorted({maker.text() for _ in range(100)} | {"", "\n"})
        stored = [{"_id": number, "metadata": text} for number, text in enumerate(texts)]
        collection.delete_many({})
        collection.insert_many(stored)
        raw = [bson.encode(document) for document in stored]
        for pattern, options in [maker.whole() for _ in range(100)]:
            query = {"metadata": {"$regex": pattern, "$options": options}}
            try:
                compiled = Filter(bson.encode(query))
            except FilterError:
                continue
            accepted += 1
            judged += len(raw)
            try:
                expected = {document["_id"] for document in collection.find(query, {"_id": 1})}
            except OperationFailure as error:
                failures.append(f"block {blocks}: accepted, but {error}: {pattern!r} {options}")
                continue
            if {number for number, document in enumerate(raw) if compiled.matches(document)} != expected:
                failures.append(f"block {blocks}: {pattern!r} {options}")
        blocks += 1
    return {
        "pairs": judged,
        "patterns": blocks * 100,
        "accepted": accepted,
        "differ": failures,
        "blocks": blocks,
    }


def times() -> dict[str, float]:
    """Nanoseconds, from the core's own benchmark in release build."""
    command = ["cargo", "bench", "--locked", "-q", "-p", "kaa-epr-core", "--bench", "filter"]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    measured: dict[str, float] = json.loads(printed.strip().splitlines()[-1])
    return measured


def run(wanted: int, seed: str, *, timed: bool) -> dict[str, Any]:
    """All of it, on a mongod of its own."""
    begun = time.strftime("%Y%m%dT%H%M", time.gmtime())
    with tempfile.TemporaryDirectory() as directory:
        server = start_mongod(Path(directory))
        try:
            with MongoClient[dict[str, Any]](server.uri) as client:
                found = pairs(Oracle(client["filters"]["pairs"]), wanted, seed)
                texts = patterns(client["filters"]["texts"], wanted, seed)
                judge = client.server_info()["version"]
        finally:
            server.stop()
    return {
        "kind": "filters",
        "begun": begun,
        "seed": seed,
        "mongod": judge,
        "queries_over_documents": found,
        "expressions_over_texts": texts,
        "nanoseconds": times() if timed else None,
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
    }


def main() -> int:
    """Exit status: 1 if a verdict differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--no-times", action="store_true")
    options = parser.parse_args()
    report = run(options.pairs, options.seed, timed=not options.no_times)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    print(text)
    if options.pairs >= 1_000_000:
        revision = report["commit"].rstrip("+")
        (RESULTS / f"filters-{report['begun']}-{revision}.json").write_text(f"{text}\n")
    differ = report["queries_over_documents"]["differ"] + report["expressions_over_texts"]["differ"]
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main())
