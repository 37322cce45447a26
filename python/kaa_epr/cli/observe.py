"""``kaa-epr observe``: watches, in production, whether answers are ever older than the events that passed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kaa_epr.cli import options
from kaa_epr.cli.console import complain, result, result_json
from kaa_epr.cli.exits import ExitCode

PORT: Final = 8079
"""Beside the service's own 8080 and up, so that both can run on one machine."""

Delay = Annotated[
    float, typer.Option("--delay", metavar="SECONDS", min=0, max=3600, help="Ask this long after an event.")
]
MaxPerSecond = Annotated[
    float,
    typer.Option(
        "--max-per-second",
        metavar="N",
        min=0.1,
        max=100_000,
        help="Check at most so many events; skip others.",
    ),
]
MaxConcurrent = Annotated[
    int,
    typer.Option(
        "--max-concurrent", metavar="N", min=1, max=65_536, help="Check at most so many events at a time."
    ),
]
Questions = Annotated[
    int,
    typer.Option("--questions", metavar="N", min=1, max=16, help="Gets at once, to reach several replicas."),
]
GiveUp = Annotated[
    float,
    typer.Option(
        "--give-up", metavar="SECONDS", min=1, max=3600, help="Stop asking while answers stay stale."
    ),
]
NoStore = Annotated[
    bool, typer.Option("--no-store", help="Do not read MongoDB: only events with versions are judged.")
]
Number = Annotated[
    int | None, typer.Option("--count", "-n", metavar="N", min=1, help="End after so many checks.")
]
Duration = Annotated[
    float | None, typer.Option("--duration", metavar="SECONDS", min=0.1, help="End after this time.")
]
FailOnStale = Annotated[
    float | None,
    typer.Option(
        "--fail-on-stale",
        metavar="SECONDS",
        min=0,
        help="End with status 3 if answers were stale for longer than this.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")]
Port = Annotated[
    int,
    typer.Option(
        "--port", metavar="PORT", min=0, max=65_535, help="For metrics and health; 0: any free one."
    ),
]
ReadyFile = Annotated[
    Path | None,
    typer.Option(
        "--ready-file",
        metavar="PATH",
        help="Once events are heard, write here a JSON object: pid, management.",
    ),
]


def observe(
    delay: Delay = 0.0,
    max_per_second: MaxPerSecond = 100.0,
    max_concurrent: MaxConcurrent = 1024,
    questions: Questions = 1,
    give_up: GiveUp = 75.0,
    no_store: NoStore = False,
    count: Number = None,
    duration: Duration = None,
    fail_on_stale: FailOnStale = None,
    as_json: Json = False,
    port: Port = PORT,
    ready_file: ReadyFile = None,
    nats: options.Nats = None,
    mongo: options.Mongo = None,
    instance: options.Instance = None,
    config: options.Config = None,
    sets: options.Sets = None,
) -> None:
    """Check after each event whether gets are answered at least as new, until SIGTERM or Ctrl-C.

    Each event (15/EME, 9/ELCE) is followed by a get of its endpoint. The answer's version is compared with
    the event's, and its content with what MongoDB's primary holds. A stale answer is asked for again until it
    is fresh. What a further write may explain is never called stale. Values are neither printed nor kept.

    \b
    Examples:
      kaa-epr observe
      kaa-epr observe --config samples/epr.yaml --delay 0.1 --max-per-second 20
      kaa-epr observe --duration 600 --json --fail-on-stale 1

    \b
    The summary goes to standard output at the end; meanwhile http://127.0.0.1:8079/metrics has the counts.

    \b
    Exit status:
      0  it ran to its end
      1  it could not start
      3  answers were stale for longer than --fail-on-stale
    """  # noqa: D301 - \b keeps the lines as they are
    from kaa_epr.observer import ObserverOptions, Policy
    from kaa_epr.observer.running import run

    shorts = {"nats.servers": nats, "mongo.uri": mongo, "service.instance_name": instance}
    settings = options.load_settings(config, sets, shorts | {"management.port": port}).settings
    chosen = ObserverOptions(
        policy=Policy(delay=delay, questions=questions, give_up=give_up),
        max_per_second=max_per_second,
        max_concurrent=max_concurrent,
        count=count,
        with_store=not no_store,
    )
    try:
        summary = asyncio.run(run(settings, chosen, duration=duration, ready_file=ready_file))
    except OSError as error:
        complain(f"{error.filename or 'TLS'}: {error.strerror or error}")
        raise typer.Exit(ExitCode.FAILURE) from None
    result_json(summary) if as_json else result(_in_words(summary))
    if fail_on_stale is not None and summary["worstStalenessSeconds"] > fail_on_stale:
        raise typer.Exit(ExitCode.STALE)


def _in_words(summary: dict[str, Any]) -> str:
    """One line."""
    verdicts = ", ".join(f"{n} {name}" for name, n in summary["verdicts"].items() if n) or "none ended"
    stale = ", ".join(f"{n} > {s} s" for s, n in summary["staleLongerThan"].items())
    skipped = sum(summary["skipped"].values())
    return (
        f"{summary['events']} events, {summary['checked']} checked ({skipped} skipped): {verdicts}; "
        f"stale for {stale}; worst {summary['worstStalenessSeconds']:g} s"
    )
