"""Options that several subcommands share, and the settings that come of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kaa_epr.config.load import Loaded, load

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="YAML file with settings.", dir_okay=False),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="One setting, as `cache.max_bytes=1GiB`; goes before file and environment. May be repeated.",
    ),
]
Nats = Annotated[
    str | None,
    typer.Option(
        "--nats", metavar="URL", help="NATS servers, comma-separated; short for --set nats.servers."
    ),
]
Instance = Annotated[
    str | None,
    typer.Option(
        "--instance", metavar="NAME", help="Service instance name; short for --set service.instance_name."
    ),
]
Mongo = Annotated[
    str | None, typer.Option("--mongo", metavar="URI", help="MongoDB; short for --set mongo.uri.")
]
Database = Annotated[
    str | None, typer.Option("--database", metavar="NAME", help="Short for --set mongo.database.")
]
Collection = Annotated[
    str | None, typer.Option("--collection", metavar="NAME", help="Short for --set mongo.collection.")
]


def load_settings(config: Path | None, sets: list[str] | None, shorts: Mapping[str, Any]) -> Loaded:
    """Settings of file, environment and flags; ``shorts`` are dotted keys, None meaning not given.

    Raises ConfigError, and typer.BadParameter for a ``--set`` without ``=``.
    """
    flags = {key: value for key, value in shorts.items() if value is not None}
    for text in sets or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--set")
        flags[key.strip()] = value
    return load(config, flags=flags)
