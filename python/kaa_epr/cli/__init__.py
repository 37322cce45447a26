"""The ``kaa-epr`` command: one file per subcommand, put together here.

Subcommands import what they need when they run, so that ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import sys

import typer

from kaa_epr.cli.check_config import check_config
from kaa_epr.cli.console import complain
from kaa_epr.cli.decode import decode
from kaa_epr.cli.events import events
from kaa_epr.cli.exits import ExitCode
from kaa_epr.cli.export import export_endpoints
from kaa_epr.cli.get import get
from kaa_epr.cli.import_ import import_endpoints
from kaa_epr.cli.observe import observe
from kaa_epr.cli.serve import serve
from kaa_epr.cli.version import version
from kaa_epr.errors import KaaEprError

app = typer.Typer(
    name="kaa-epr",
    help="Endpoint Register for the Kaa IoT platform: answers endpoint metadata gets over NATS (19/EPMMP) "
    "from a coherent cache in front of MongoDB.\n\n"
    "To see it at work: `kaa-epr serve --embedded`, and in another terminal `kaa-epr get sample-0001`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve)
app.command("get")(get)
app.command("import")(import_endpoints)
app.command("export")(export_endpoints)
app.command("check-config")(check_config)
app.command("decode")(decode)
app.command("events")(events)
app.command("observe")(observe)
app.command("version")(version)


def main() -> None:
    """Run the command line; the outermost boundary for errors that are told rather than traced."""
    # Libraries' warnings: `serve` has a log of its own for them, to the others an error tells what matters.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        app()
    except KaaEprError as error:
        complain(str(error))
        sys.exit(ExitCode.FAILURE)
