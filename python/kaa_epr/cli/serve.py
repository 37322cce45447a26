"""``kaa-epr serve``: runs the service, with servers of one's own or with embedded ones."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from kaa_epr.cli import options
from kaa_epr.cli.defaults import default_data_dir

if TYPE_CHECKING:
    from kaa_epr.config.load import Loaded


def serve(
    config: options.Config = None,
    embedded: Annotated[
        bool,
        typer.Option(
            "--embedded",
            help="Bring up a nats-server and a mongod on loopback, without authentication, and load sample "
            "endpoints. A server that the configuration names is used instead.",
        ),
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help=f"Where --embedded keeps data. Default: {default_data_dir()}"
        ),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Once gets are answered, write here one JSON object: pid, nats, mongo, management, rest.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Processes to run, in one queue group.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")
    ] = None,
    instance: options.Instance = None,
    sets: options.Sets = None,
) -> None:
    """Answer endpoint metadata gets until SIGTERM or Ctrl-C; every request taken is answered before the end.

    Settings come from the file, the environment (KAA_EPR__CACHE__MAX_BYTES=1GiB) and --set, in this order,
    the later going before the earlier. SIGHUP reads them again: certificates, credentials and the log level
    take effect without losing a request.

    \b
    Examples:
      kaa-epr serve --embedded
      kaa-epr serve --config samples/epr.yaml
      kaa-epr serve --config samples/epr.yaml --set mongo.driver=pymongo --workers 2
    """  # noqa: D301
    given: dict[str, Any] = {"workers": workers, "log.level": log_level, "service.instance_name": instance}

    def load(more: Mapping[str, Any]) -> Loaded:
        return options.load_settings(config, sets, {**given, **more})

    if embedded:
        code = _serve_embedded(load, data_dir or default_data_dir(), ready_file)
    else:
        from kaa_epr.run import run

        code = run(load({}).settings, ready_file=ready_file, reload=lambda: load({}).settings)
    raise typer.Exit(code)


def _serve_embedded(
    load: Callable[[Mapping[str, Any]], Loaded], data_dir: Path, ready_file: Path | None
) -> int:
    from kaa_epr.cli.hints import Hints
    from kaa_epr.cli.samples import load_samples
    from kaa_epr.embedded import EmbeddedServers
    from kaa_epr.run import run

    usual = load({})
    named = usual.origins
    servers = EmbeddedServers(
        data_dir, with_nats="nats.servers" not in named, with_mongo="mongo.uri" not in named
    )
    # Until the service has its own handler, SIGTERM unwinds as Ctrl-C does and the servers are stopped.
    signal.signal(signal.SIGTERM, _leave)
    with servers:
        more = servers.addresses() | _overrides(usual)
        settings = load(more).settings
        if "mongo.uri" not in named:
            load_samples(settings, data_dir)
        return run(
            settings,
            ready_file=ready_file,
            on_ready=Hints(settings, data_dir).show,
            reload=lambda: load(more).settings,
        )


def _overrides(usual: Loaded) -> dict[str, Any]:
    """What suits a trial run at a terminal, where nobody has said otherwise."""
    overrides: dict[str, Any] = {}
    if "log.format" not in usual.origins and sys.stderr.isatty():
        overrides["log.format"] = "console"
    if "management.port" not in usual.origins and not _is_free(usual.settings.management.port):
        overrides["management.port"] = 0
    if "register.enabled" not in usual.origins and "register.security.enabled" not in usual.origins:
        # On loopback, as the embedded servers are.
        overrides |= {"register.enabled": True, "register.security.enabled": False}
        if "register.rest.port" not in usual.origins and not _is_free(usual.settings.register_.rest.port):
            overrides["register.rest.port"] = 0
    return overrides


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _leave(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)
