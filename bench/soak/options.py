"""The command line of the soak."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.generator import ROOT
from bench.soak.faults import kinds

RESULTS: Final = ROOT / "bench" / "results"
WORK: Final = ROOT / "bench" / "work" / "soak"


def parsed(arguments: Sequence[str], description: str) -> argparse.Namespace:
    """The options; exits with 2 and a usage text where they are wrong."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--rounds", type=int, help="times that each kind of fault comes (minutes / 6)")
    parser.add_argument(
        "--kind", action="append", choices=list(kinds()), metavar="KIND", help=f"one of {', '.join(kinds())}"
    )
    parser.add_argument("--gets", type=float, default=21_500, help="gets a second (21500)")
    parser.add_argument("--writes", type=float, default=750, help="writes a second, of all kinds (750)")
    parser.add_argument("--endpoints", type=int, default=2_000, help="endpoints written in batches (2000)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the faults (1)")
    parser.add_argument("--work", type=Path, default=WORK, help="data and logs (bench/work/soak)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the report goes (bench/results)")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or max(1, round(options.minutes / 6))
    options.kind = options.kind or list(kinds())
    return options
