"""What a soak found: figures by kind of fault, and whether anything was beyond its bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from bench.soak.faults import BOUND, LOSES_NOTHING, MAY_BE_STALE
from bench.soak.judge import LIMITS, Judge, Phase

GETS_PER_SECOND: Final = 20_000
WRITES_PER_SECOND: Final = 500
OF_EACH: Final = 5
FULL_MINUTES: Final = 30


def by_kind(phases: Sequence[Phase]) -> dict[str, dict[str, Any]]:
    """The phases of each fault together; ``stale`` counts answers staler than so many seconds."""
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(phase.name for phase in phases):
        these = [phase for phase in phases if phase.name == name]
        stale: Counter[float] = sum((phase.stale for phase in these), Counter())
        statuses: Counter[int] = sum((phase.statuses for phase in these), Counter())
        found[name] = {
            "times": len(these),
            "seconds": round(sum(phase.ended - phase.begun for phase in these), 1),
            "answers": sum(phase.answers for phase in these),
            "stale": {f"{limit:g}": stale[limit] for limit in (0.0, *LIMITS)},
            "worst_seconds": round(max(phase.worst for phase in these), 3),
            "statuses": {str(status): count for status, count in sorted(statuses.items())},
            "refused": sum(phase.refused for phase in these),
            "lost": sum(phase.lost for phase in these),
            "wrong": sum(phase.wrong for phase in these),
        }
    return found


def failures(content: dict[str, Any]) -> list[str]:
    """What is beyond its bound, a sentence each; empty is what is hoped for."""
    found = []
    for name, kind in content["faults"].items():
        bound = MAY_BE_STALE.get(name, BOUND)
        if kind["worst_seconds"] > bound:
            found.append(
                f"{name}: an answer was stale for {kind['worst_seconds']} s, at most {bound} s may be"
            )
        if kind["wrong"]:
            found.append(f"{name}: {kind['wrong']} answers were wrong")
        lacking = {what: kind[what] for what in ("lost", "refused", "statuses") if kind[what]}
        if name in LOSES_NOTHING and lacking:
            found.append(f"{name}: not every get was answered 200: {lacking}")
    observed = content["observer"]
    found += [
        f"the observer saw {n} answers stale for more than {s} s" for s, n in observed["stale"].items() if n
    ]
    if content["minutes"] >= FULL_MINUTES:
        found += _short(content)
    return found


def _short(content: dict[str, Any]) -> list[str]:
    """What a soak of full length must have done."""
    found = []
    for name, least in (("gets", GETS_PER_SECOND), ("writes", WRITES_PER_SECOND)):
        mean = content["rates"][name]["mean"]
        if mean < least:
            found.append(f"{mean} {name} a second on the average, {least} are wanted")
    few = [
        name for name, kind in content["faults"].items() if kind["times"] < OF_EACH and name not in _NO_FAULTS
    ]
    return found + [f"{name}: fewer than {OF_EACH} times" for name in few]


_NO_FAULTS: Final = {"start", "end"}


def text(content: dict[str, Any]) -> str:
    """The report as Markdown, for people."""
    rates, machine = content["rates"], content["machine"]
    lines = [
        f"# Soak of {content['minutes']:g} minutes, {content['started']}",
        "",
        f"Revision {content['commit']}, {machine['cpu']}, {machine['cores']} cores, on which all of it ran:",
        "three nats-servers, three mongods, three replicas, `kaa-epr observe`, the writers and the load.",
        "",
        "**Passed.**" if not content["failures"] else "**Failed:**",
        *(f"* {failure}" for failure in content["failures"]),
        "",
        "| a second | mean | median | 5th percentile | least |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {one['mean']:,} | {one['median']:,} | {one['p5']:,} | {one['min']:,} |"
            for name, one in rates.items()
        ),
        "",
        "Every answer was judged by what had been acknowledged when its get was sent.",
        "",
        "| fault | times | answers | stale 0.1 s | > 1 s | > 10 s | > 60 s | worst | 503 | lost | refused |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_row(name, kind) for name, kind in content["faults"].items()),
        "",
        *_observed(content["observer"]),
        "",
        "| process | memory at first, MB | in the middle | at last | most |",
        "|---|---|---|---|---|",
        *(_memory_row(name, series) for name, series in content["memory"].items()),
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, kind: dict[str, Any]) -> str:
    stale = " | ".join(f"{kind['stale'][f'{limit:g}']:,}" for limit in LIMITS)
    unavailable = kind["statuses"].get("503", 0)
    return (
        f"| {name} | {kind['times']} | {kind['answers']:,} | {stale} | {kind['worst_seconds']:g} |"
        f" {unavailable:,} | {kind['lost']:,} | {kind['refused']:,} |"
    )


def _observed(observer: dict[str, Any]) -> list[str]:
    stale = ", ".join(f"{count} for more than {limit} s" for limit, count in observer["stale"].items())
    return [f"`kaa-epr observe` asked {observer['asked']:,} times right after events; stale: {stale}."]


def _memory_row(name: str, series: list[tuple[int, int]]) -> str:
    sizes = [size / 1e6 for _, size in series]
    return f"| {name} | {sizes[0]:.0f} | {sizes[len(sizes) // 2]:.0f} | {sizes[-1]:.0f} | {max(sizes):.0f} |"


def of_judge(judge: Judge) -> dict[str, Any]:
    """The judge's part of the report."""
    return {
        "faults": by_kind(judge.phases),
        "unavailable_at": {str(second): count for second, count in sorted(judge.unavailable.items())},
        "lost_at": {str(second): count for second, count in sorted(judge.missing.items())},
        "examples": judge.examples,
    }
