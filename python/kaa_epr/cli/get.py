"""``kaa-epr get``: asks a repository for one endpoint's metadata, over NATS."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaa_epr.cli import options
from kaa_epr.cli.console import complain, result, result_json
from kaa_epr.cli.exits import ExitCode

if TYPE_CHECKING:
    from kaa_epr.client import EndpointMetadata
    from kaa_epr.config.settings import Settings


def get(
    endpoint_id: Annotated[str, typer.Argument(metavar="ENDPOINT_ID", help="The endpoint to ask for.")],
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include", "-i", metavar="A,B", help="Only these fields, comma-separated; may be repeated."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.001, max=3600, help="How long to wait for an answer.")
    ] = 5.0,
    full: Annotated[
        bool, typer.Option("--full", help="Print eTag and application version too, around the metadata.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the metadata as the bytes that came, on one line.")
    ] = False,
    nats: options.Nats = None,
    instance: options.Instance = None,
    config: options.Config = None,
    sets: options.Sets = None,
) -> None:
    """Ask for an endpoint's metadata over NATS and print it as JSON.

    \b
    Examples:
      kaa-epr get sample-0001
      kaa-epr get sample-0001 --include model,firmware
      kaa-epr get sample-0001 --full --nats nats://nats.example.org:4222 --instance epr

    \b
    Exit status:
      0  the metadata is on standard output
      1  anything that is not listed here (such as no connection to NATS, or a status 400, 413 or 500)
      2  wrong usage
      4  the endpoint does not exist (status 404)
      5  the repository cannot answer now (status 503), or nobody listens
      6  no answer in time
    """  # noqa: D301 - \b keeps the lines as they are
    from kaa_epr.client import EndpointNotFound, RepositoryUnavailable, RequestTimeout

    shorts = {"nats.servers": nats, "service.instance_name": instance}
    settings = options.load_settings(config, sets, shorts).settings
    fields = [name for group in include or [] for name in group.split(",") if name]
    try:
        answer = asyncio.run(_ask(settings, endpoint_id, fields, timeout))
    except EndpointNotFound as error:
        _fail(error, ExitCode.NOT_FOUND)
    except RepositoryUnavailable as error:
        _fail(error, ExitCode.UNAVAILABLE)
    except RequestTimeout as error:
        _fail(error, ExitCode.TIMEOUT)
    else:
        _show(answer, full=full, raw=raw)


def _fail(error: Exception, code: ExitCode) -> None:
    complain(str(error))
    raise typer.Exit(code) from None


def _show(answer: EndpointMetadata, *, full: bool, raw: bool) -> None:
    if full:
        result_json(_everything(answer))
    elif raw:
        result((answer.payload or b"null").decode())
    else:
        result_json(answer.metadata)


def _everything(answer: EndpointMetadata) -> dict[str, Any]:
    return {
        "endpointId": answer.endpoint_id,
        "appVersionName": answer.app_version_name,
        "eTag": answer.etag,
        "metadata": answer.metadata,
    }


async def _ask(settings: Settings, endpoint_id: str, fields: list[str], seconds: float) -> EndpointMetadata:
    from kaa_epr.cli.connecting import epmmp_client

    async with epmmp_client(settings, seconds) as client:
        return await client.get(endpoint_id, include=fields)
