"""``kaa-epr import``: loads endpoints from a file of JSON lines into MongoDB."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaa_epr.cli import options
from kaa_epr.cli.console import complain, people
from kaa_epr.cli.exits import ExitCode

if TYPE_CHECKING:
    from kaa_epr.config.settings import Settings
    from kaa_epr.mongo.register_api import RegisterStore
    from kaa_epr.mongo.transfer import BadLine, ImportProgress, WriteBatch

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="JSON lines, one endpoint each.", exists=True, dir_okay=False),
]
NoEvents = Annotated[
    bool,
    typer.Option(
        "--no-events", help="Only fill MongoDB: for a first fill, before anything serves these endpoints."
    ),
]


def import_endpoints(
    file: File,
    no_events: NoEvents = False,
    nats: options.Nats = None,
    instance: options.Instance = None,
    mongo: options.Mongo = None,
    database: options.Database = None,
    collection: options.Collection = None,
    config: options.Config = None,
    sets: options.Sets = None,
) -> None:
    """Load endpoints from a file into MongoDB, through the register's rules, and tell of every change.

    Every line is checked as a whole before anything of it is written; a bad one is reported with its number
    and the reason, and the others are imported. Stopped or killed, the same command goes on where it was
    (FILE.import-state says where). Endpoints that are as the line says are left alone; changed ones get a new
    version, and events (9/ELCE, 15/EME) over NATS, so running services answer with the new state at once.

    \b
    A line, of which only endpointId is required:
      {"endpointId": "sample-0001", "application": "smart_meter",
       "appVersion": {"name": "smart_meter-v1"}, "endpointToken": "...", "metadata": {"model": "SM-200"}}

    \b
    Examples:
      kaa-epr import endpoints.jsonl
      kaa-epr import endpoints.jsonl --mongo mongodb://mongo.example.org --nats nats://nats.example.org
      kaa-epr import endpoints.jsonl --no-events

    \b
    Exit status:
      0  all lines are in MongoDB
      1  some were bad, or the import could not go on
    """  # noqa: D301
    shorts = {"mongo.uri": mongo, "mongo.database": database, "mongo.collection": collection}
    shorts |= {"nats.servers": nats, "service.instance_name": instance}
    settings = options.load_settings(config, sets, shorts).settings
    try:
        done = asyncio.run(_import(settings, file, with_events=not no_events))
    except OSError as error:
        complain(f"{error.filename or file}: {error.strerror or errno.errorcode.get(error.errno or 0)}")
        raise typer.Exit(ExitCode.FAILURE) from None
    people().print(
        f"{done.lines} lines: {done.created} created, {done.changed} changed, {done.unchanged} unchanged, "
        f"{done.bad} bad"
    )
    if done.bad:
        raise typer.Exit(ExitCode.FAILURE)


async def _import(settings: Settings, file: Path, *, with_events: bool) -> ImportProgress:
    from kaa_epr.mongo import open_store

    store = open_store(settings.mongo, settings.store)
    try:
        if not with_events:
            from kaa_epr.register.importing import direct_import

            return await _transfer(file, store, direct_import(store, settings.engine))
        from kaa_epr import log
        from kaa_epr.cli.importing import eventful

        log.configure("warning", "console")
        async with eventful(settings, store) as write_batch:
            return await _transfer(file, store, write_batch)
    finally:
        await store.close()


async def _transfer(file: Path, store: RegisterStore, write_batch: WriteBatch) -> ImportProgress:
    """With a progress bar, and a line for each that is bad."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from kaa_epr.mongo.transfer import import_endpoints as transfer

    console = people()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(file.name)
        resumed = False

        def on_progress(progress: ImportProgress) -> None:
            nonlocal resumed
            if progress.resumed_behind and not resumed:
                resumed = True
                console.print(f"going on behind line {progress.resumed_behind}")
            bar.update(task, completed=progress.bytes_done, total=progress.bytes_total)

        def on_bad_line(bad: BadLine) -> None:
            endpoint = f" ({bad.endpoint_id})" if bad.endpoint_id else ""
            console.print(f"line {bad.number}{endpoint}: {bad.reason}", markup=False)

        return await transfer(file, store, write_batch, on_progress=on_progress, on_bad_line=on_bad_line)
