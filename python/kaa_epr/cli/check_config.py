"""``kaa-epr check-config``: says what is wrong with a configuration, and whether its servers are there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from kaa_epr.cli import options
from kaa_epr.cli.console import people, result
from kaa_epr.cli.exits import ExitCode


def check_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML file with settings.")],
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Connect to its NATS and MongoDB, and compare sample documents with what the instance that "
            "answers now says.",
        ),
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print all settings that result, secrets masked, as YAML.")
    ] = False,
    sets: options.Sets = None,
) -> None:
    """Check a configuration file, together with the environment, as `serve` would.

    Every problem is listed with its key, its value and what was expected.

    \b
    Examples:
      kaa-epr check-config samples/epr.yaml
      kaa-epr check-config samples/epr.yaml --show
      kaa-epr check-config samples/epr.yaml --probe

    \b
    Exit status:
      0  the configuration is usable (with --probe: and its servers are, and all samples fit)
      1  it is not
    """  # noqa: D301
    loaded = options.load_settings(file, sets, {})
    for note in loaded.notes:
        people().print(f"note: {note}", markup=False)
    if show:
        from kaa_epr.config.dump import dump_yaml

        result(dump_yaml(loaded.settings).rstrip())
    else:
        result(f"{file}: ok")
    if probe:
        from kaa_epr.cli.probe import Probe

        if not asyncio.run(Probe(loaded.settings).run()):
            raise typer.Exit(ExitCode.FAILURE)
