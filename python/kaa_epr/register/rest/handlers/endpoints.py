"""Endpoints: registered, shown, moved to another application version, unregistered."""

from __future__ import annotations

import secrets
import string
import uuid
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from kaa_epr.refusals import EndpointUnknown
from kaa_epr.register.decide.api import Request, Show
from kaa_epr.register.endpoints import Registration
from kaa_epr.register.idempotency import Registered
from kaa_epr.register.rest.call import Backend, Call, read_reply, shown_reply
from kaa_epr.register.rest.http import Reply, empty, replay_header
from kaa_epr.register.rest.models import AppVersionBody, RegisterBody, fields_of, validated
from kaa_epr.register.shown import beside, viewed_text

_ALPHABET: Final = string.ascii_letters + string.digits
_TOKEN_LENGTH: Final = 20
"""119 bits: whoever knows a token can speak for the endpoint."""


def new_token() -> str:
    """A token that nobody guesses."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_TOKEN_LENGTH))


async def register(backend: Backend, call: Call) -> Reply:
    """``POST /endpoints``."""
    sent = await backend.reading.value(call.content, "body", prefix="", envelope=2)
    body = validated(RegisterBody, fields_of(sent))
    metadata = [] if body.metadata is None else backend.reading.keys(body.metadata)
    token = body.endpoint_token or new_token()
    version = body.app_version.name
    new = Registration(backend.endpoints.applications.of_version(version), version, token, metadata)
    keyed = call.keyed("register")
    if keyed is not None:
        backend.planner.check(new.command(backend.planner))
        made = await backend.once.register(keyed, new, body.endpoint_id, call.correlation_id)
    else:
        endpoint_id = body.endpoint_id or str(uuid.uuid4())
        request = Request(new.command(backend.planner), call.correlation_id)
        outcome = await backend.endpoints.change(endpoint_id, request)
        made = Registered(endpoint_id, token, outcome.etag, replayed=False)
    headers = {"Location": backend.place(call, f"endpoints/{quote(made.endpoint_id)}")}
    answer = {"token": made.token, "status": "Inactive", "endpointId": made.endpoint_id}
    return Reply(HTTPStatus.CREATED, answer, made.etag, headers | replay_header(made.replayed))


async def get_endpoint(backend: Backend, call: Call) -> Reply:
    """``GET /endpoints/{endpointId}``."""
    document, view = await backend.endpoints.read(call.endpoint_id)
    show = partial(viewed_text, view, document, with_metadata=call.query["include"] == "metadata")
    text, problem = await beside(document, show)
    if problem is not None:
        backend.pages.tell_of_endpoint(call.endpoint_id, problem)
    return read_reply(call, view, text)


async def delete_endpoint(backend: Backend, call: Call) -> Reply:
    """``DELETE /endpoints/{endpointId}``."""
    await backend.change(call, backend.planner.unregister())
    return empty()


async def get_app_version(backend: Backend, call: Call) -> Reply:
    """``GET …/app-version``."""
    document, view = await backend.endpoints.read(call.endpoint_id)
    text = await beside(document, view.app_version_text)
    if text is None:
        raise EndpointUnknown(call.endpoint_id)
    return read_reply(call, view, text)


async def put_app_version(backend: Backend, call: Call) -> Reply:
    """``PUT …/app-version``."""
    sent = await backend.reading.value(call.content, "body", prefix="")
    version = validated(AppVersionBody, fields_of(sent)).name
    command = backend.planner.set_app_version(backend.endpoints.applications.of_version(version), version)
    return shown_reply(await backend.change(call, command, Show.APP_VERSION))
