"""``kaa-epr events``: prints the events that pass, decoded."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaa_epr.cli import options
from kaa_epr.cli.console import people

if TYPE_CHECKING:
    from kaa_epr.config.settings import Settings
    from kaa_epr.nats.listening import Heard


def events(
    originator: Annotated[
        str, typer.Option(metavar="NAME", help="Only events of this service instance; `*`: of any.")
    ] = "*",
    count: Annotated[
        int | None, typer.Option("--count", "-n", metavar="N", min=1, help="Stop after so many events.")
    ] = None,
    nats: options.Nats = None,
    config: options.Config = None,
    sets: options.Sets = None,
) -> None:
    """Print endpoint events as they pass, one JSON object a line, until Ctrl-C.

    \b
    Examples:
      kaa-epr events
      kaa-epr events --originator epr --count 1

    \b
    A line has the subject, the kind of event, its fields, and the headers, where there are any.
    """  # noqa: D301 - \b keeps the lines as they are
    settings = options.load_settings(config, sets, {"nats.servers": nats}).settings
    try:
        asyncio.run(_listen(settings, originator, count))
    except KeyboardInterrupt:
        people().print("")


async def _listen(settings: Settings, originator: str, count: int | None) -> None:
    from kaa_epr.messages import subjects
    from kaa_epr.nats.listening import listen

    subject = subjects.event(originator, "endpoint", "*", "*")
    messages = listen(settings.nats, "kaa-epr events", subject)
    left = count
    async with aclosing(messages):
        async for message in messages:
            if message is None:
                people().print(f"listening to {subject}", markup=False)
                continue
            sys.stdout.write(json.dumps(_decoded(message), ensure_ascii=False) + "\n")
            sys.stdout.flush()
            left = None if left is None else left - 1
            if left == 0:
                return


def _decoded(message: Heard) -> dict[str, Any]:
    from kaa_epr.errors import KaaEprError
    from kaa_epr.messages.decode import decode_message

    line: dict[str, Any] = {"subject": message.subject}
    if message.headers:
        line["headers"] = message.headers
    try:
        decoded = decode_message(message.payload, subject=message.subject)
    except KaaEprError as error:
        return line | {"undecodable": str(error)}
    return line | {"kind": decoded.kind, "message": decoded.fields}
