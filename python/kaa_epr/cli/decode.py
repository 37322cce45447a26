"""``kaa-epr decode``: prints a captured message of a known kind as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaa_epr.cli.console import result_json


def decode(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="File with the payload's bytes; `-`: standard input."),
    ] = None,
    hexadecimal: Annotated[
        str | None,
        typer.Option("--hex", metavar="TEXT", help="The payload in hexadecimal, instead of a file."),
    ] = None,
    base64: Annotated[
        str | None, typer.Option("--base64", metavar="TEXT", help="The payload in base64, instead of a file.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(metavar="SUBJECT", help="The NATS subject it came on, which tells the kind.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Its kind, such as `ep-metadata-get-request`; see --list."),
    ] = None,
    list_kinds: Annotated[bool, typer.Option("--list", help="List the kinds of messages and stop.")] = False,
) -> None:
    """Print a captured NATS message (19/EPMMP, 9/ELCE, 15/EME) as JSON.

    Without subject and kind every kind is tried.

    \b
    Examples:
      kaa-epr decode message.bin --subject kaa.v1.events.epr.endpoint.metadata.updated
      kaa-epr decode --kind ep-metadata-get-request --hex '02 61 ...'
      some-capture | kaa-epr decode -
    """  # noqa: D301
    from kaa_epr.messages.capture import from_base64, from_file, from_hex
    from kaa_epr.messages.decode import decode_message
    from kaa_epr.messages.kinds import all_kinds

    if list_kinds:
        result_json([{"kind": k.name, "rfc": k.rfc, "subjectEndsWith": k.tail} for k in all_kinds()])
        return
    given = [source for source in (file, hexadecimal, base64) if source is not None]
    if len(given) != 1:
        raise typer.BadParameter("give one of FILE, --hex and --base64", param_hint="FILE")
    if hexadecimal is not None:
        payload = from_hex(hexadecimal)
    elif base64 is not None:
        payload = from_base64(base64)
    else:
        payload = from_file(str(file))
    result_json(decode_message(payload, subject=subject, kind=kind).as_json())
