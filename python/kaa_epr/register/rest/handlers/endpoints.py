"""Endpoints: registered, shown, moved to another application version, unregistered."""

from __future__ import annotations

import secrets
import string
import uuid
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from kaa_epr.register.idempotency import Registered
from kaa_epr.register.intake.commands import Register, SetAppVersion, Unregister
from kaa_epr.register.rest.call import Backend, Call, read_reply
from kaa_epr.register.rest.http import Reply, empty, replay_header
from kaa_epr.register.rest.models import AppVersionBody, RegisterBody, validated
from kaa_epr.register.rest.shown import shown, shown_app_version

_ALPHABET: Final = string.ascii_letters + string.digits
_TOKEN_LENGTH: Final = 20
"""119 bits: whoever knows a token can speak for the endpoint."""


def new_token() -> str:
    """A token that nobody guesses."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_TOKEN_LENGTH))


async def register(backend: Backend, call: Call) -> Reply:
    """``POST /endpoints``."""
    sent = await backend.reading.value(call.content, "body", prefix="", envelope=2)
    body = validated(RegisterBody, sent.python())
    backend.rules.check_metadata(body.metadata)
    token = body.endpoint_token or new_token()
    version = body.app_version.name
    command = Register(backend.endpoints.applications.of_version(version), version, token, body.metadata)
    keyed = call.keyed("register")
    if keyed is not None:
        made = await backend.once.register(keyed, command, body.endpoint_id, call.correlation_id)
    else:
        endpoint_id = body.endpoint_id or str(uuid.uuid4())
        outcome = await backend.endpoints.change(endpoint_id, command, call.correlation_id)
        made = Registered(endpoint_id, token, outcome.state.etag, replayed=False)
    headers = {"Location": backend.place(call, f"endpoints/{quote(made.endpoint_id)}")}
    answer = {"token": made.token, "status": "Inactive", "endpointId": made.endpoint_id}
    return Reply(HTTPStatus.CREATED, answer, made.etag, headers | replay_header(made.replayed))


async def get_endpoint(backend: Backend, call: Call) -> Reply:
    """``GET /endpoints/{endpointId}``."""
    state = await backend.endpoints.read(call.endpoint_id)
    return read_reply(call, state, shown(state, with_metadata=call.query["include"] == "metadata"))


async def delete_endpoint(backend: Backend, call: Call) -> Reply:
    """``DELETE /endpoints/{endpointId}``."""
    await backend.change(call, Unregister())
    return empty()


async def get_app_version(backend: Backend, call: Call) -> Reply:
    """``GET …/app-version``."""
    state = await backend.endpoints.read(call.endpoint_id)
    return read_reply(call, state, shown_app_version(state))


async def put_app_version(backend: Backend, call: Call) -> Reply:
    """``PUT …/app-version``."""
    sent = await backend.reading.value(call.content, "body", prefix="")
    version = validated(AppVersionBody, sent.python()).name
    command = SetAppVersion(backend.endpoints.applications.of_version(version), version)
    state = (await backend.change(call, command)).state
    return Reply(body=shown_app_version(state), etag=state.etag)
