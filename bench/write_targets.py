"""What the writes must reach, and what a stored run says of it: ratios taken round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from bench.registers import BEFORE, BEFORE_COMMIT, OBVIOUS, OURS

Report = dict[str, Any]
Value = Callable[[Report], float]


@dataclass(frozen=True, slots=True)
class Target:
    """One figure: a value of ours, or its ratio to a peer's of the same round."""

    title: str
    scenario: str
    value: Value
    bound: float
    at_least: bool
    peer: str | None = None

    def met(self, figure: float) -> bool:
        """Whether a figure is within the bound."""
        return figure >= self.bound if self.at_least else figure <= self.bound

    def figures(self, results: dict[str, Any]) -> list[float]:
        """Of each round that has what it takes."""
        contenders = results["scenarios"].get(self.scenario, {}).get("contenders", {})
        ours = contenders.get(OURS, [])
        if self.peer is None:
            return [self.value(one) for one in ours]
        peers = contenders.get(self.peer, [])
        return [self.value(one) / self.value(other) for one, other in zip(ours, peers, strict=False)]


def _rate(report: Report) -> float:
    return float(report["writes_per_second"])


def _p50(report: Report) -> float:
    return float(report["latency_us"]["p50"])


def _cpu(report: Report) -> float:
    return float(report["cpu_us_per_write"]["bench-register"])


def _share_of_mongod(report: Report) -> float:
    return _cpu(report) / float(report["cpu_us_per_write"]["mongo"])


def _kept(report: Report) -> float:
    kept: list[float] = report["kept"]
    return median(kept)


TARGETS: Final = (
    Target(
        "REST PUT of a key, 64 connections: ours / obvious, writes/s", "put-key", _rate, 2.5, True, OBVIOUS
    ),
    Target("the same: register CPU a write, ours / obvious", "put-key", _cpu, 0.35, False, OBVIOUS),
    Target("REST PUT, one connection: p50, ours / obvious", "put-key-1", _p50, 1.2, False, OBVIOUS),
    Target("the same: register CPU a write, ours / obvious", "put-key-1", _cpu, 1.0, False, OBVIOUS),
    Target(
        "19/EPMMP key update, 256 under way: register CPU / mongod CPU",
        "key-update",
        _share_of_mongod,
        0.25,
        False,
    ),
    Target(f"the same: writes/s, ours / ours at {BEFORE_COMMIT}", "key-update", _rate, 1.8, True, BEFORE),
    Target("key batch update of 1000: register CPU µs an endpoint", "key-batch", _cpu, 60, False),
    Target("registration of 1000: register CPU µs an endpoint", "register-batch", _cpu, 60, False),
    Target(
        f"`kaa-epr import`: endpoints/s, ours / ours at {BEFORE_COMMIT}", "import", _rate, 3.0, True, BEFORE
    ),
    Target(
        f"REST GET of one endpoint: gets/s, ours / ours at {BEFORE_COMMIT}",
        "get-endpoint",
        _rate,
        2.5,
        True,
        BEFORE,
    ),
    Target("gets kept beside writes at 15 %, one process", "gets-15", _kept, 0.9, True),
    Target("gets kept beside writes at 15 %, processes apart", "gets-split-15", _kept, 0.9, True),
    Target("gets kept beside writes at 15 %, the same endpoints", "gets-same-15", _kept, 0.9, True),
)


def rows(results: dict[str, Any]) -> Iterator[tuple[Target, list[float]]]:
    """The targets that the run tells of."""
    for target in TARGETS:
        if figures := target.figures(results):
            yield target, figures
