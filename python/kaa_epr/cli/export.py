"""``kaa-epr export``: writes all endpoints as JSON lines."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from kaa_epr.cli import options
from kaa_epr.cli.console import complain, people
from kaa_epr.cli.exits import ExitCode

if TYPE_CHECKING:
    from kaa_epr.config.settings import Settings
    from kaa_epr.mongo.transfer import ExportProgress, NotExported


def export_endpoints(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write here instead of to standard output.", dir_okay=False
        ),
    ] = None,
    mongo: options.Mongo = None,
    database: options.Database = None,
    collection: options.Collection = None,
    config: options.Config = None,
    sets: options.Sets = None,
) -> None:
    """Write all endpoints as JSON lines, in the order of their ids, as `import` takes them.

    \b
    Examples:
      kaa-epr export --output endpoints.jsonl
      kaa-epr export --mongo mongodb://mongo.example.org | gzip > endpoints.jsonl.gz

    \b
    Exit status:
      0  every endpoint was written
      1  some could not be (each is named with the reason), or the export could not go on
    """  # noqa: D301
    shorts = {"mongo.uri": mongo, "mongo.database": database, "mongo.collection": collection}
    settings = options.load_settings(config, sets, shorts).settings
    try:
        done = _export(settings, output)
    except BrokenPipeError:
        # Whoever read has seen enough; without this the interpreter would complain while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.OK) from None
    except OSError as error:
        complain(f"{error.filename or output}: {error.strerror}")
        raise typer.Exit(ExitCode.FAILURE) from None
    if output is not None:
        people().print(f"{done.exported} endpoints written to {output}", markup=False)
    if done.not_exported:
        raise typer.Exit(ExitCode.FAILURE)


def _export(settings: Settings, output: Path | None) -> ExportProgress:
    """To a file: all of it or, after a failure, none."""
    if output is None:
        done = asyncio.run(_write(settings, sys.stdout))
        sys.stdout.flush()
        return done
    partial = output.with_name(f"{output.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            done = asyncio.run(_write(settings, file))
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    return done


async def _write(settings: Settings, stream: TextIO) -> ExportProgress:
    from kaa_epr.mongo import open_store
    from kaa_epr.mongo.transfer import export_endpoints as transfer

    def on_not_exported(refused: NotExported) -> None:
        complain(f"{refused.endpoint_id} is not exported: {refused.reason}")

    store = open_store(settings.mongo, settings.store)
    try:
        return await transfer(store, stream.write, on_not_exported=on_not_exported)
    finally:
        await store.close()
