"""The OpenAPI 3.1 document, made from the table of operations and the settings."""

from __future__ import annotations

from typing import Any, Final

from kaa_epr.refusals import Stored
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.rest import models
from kaa_epr.register.rest.call import MAX_KEY
from kaa_epr.register.rest.http import JSON, REPLAYED, SAFE, STORED
from kaa_epr.register.rest.operations import OPERATIONS, Operation
from kaa_epr.register.rest.query import Parameter
from kaa_epr.register.rest.schemas import reference, schemas

_REASONS: Final = {
    200: "Done.",
    201: "Registered.",
    202: "Accepted; its status can be asked for.",
    204: "Done.",
    304: "Not modified: If-None-Match names the current ETag.",
    400: "The request is not valid; the message names the field.",
    401: "No token, or one that does not hold.",
    403: "The token lacks the scope, or a metadata key is restricted.",
    404: "Not found.",
    409: "What is stored stands in the way.",
    412: "If-Match or If-None-Match does not hold.",
    422: "The Idempotency-Key was used with another request.",
    413: "Too large; the message names the field.",
    415: "Not the content type that is taken.",
    500: "The stored endpoint is unusable, or a bug.",
    503: "The store or NATS is not available.",
}
_ETAG: Final = {"description": "The endpoint's version.", "schema": {"type": "string"}}
_CORRELATION: Final = {"description": "The request's, or a new one.", "schema": {"type": "string"}}
_STORED: Final = {
    "description": "Whether the change is stored. `no`: it is not, and will not be; asking again is safe. "
    "`yes`: it is, for good, and its event follows by itself. `unknown`: perhaps it is, or will be.",
    "schema": {"type": "string", "enum": [outcome.value for outcome in Stored]},
}
_REPLAYED: Final = {
    "description": "`true`: the Idempotency-Key was used before, and this is what the first request did.",
    "schema": {"type": "string", "enum": ["true"]},
}
_LOCATION: Final = {"description": "Where it is now.", "schema": {"type": "string"}}
_PATH_PARAMETERS: Final = {
    "endpointId": {
        "type": "string",
        "minLength": 1,
        "pattern": models.ID_PATTERN,
        "maxLength": models.MAX_ID,
    },
    "applicationName": {"type": "string", "minLength": 1, "pattern": "^[^/]+$"},
    "metadataKey": {"type": "string", "minLength": 1},
}


def create_document(version: str, rules: Rules, *, secured: bool) -> dict[str, Any]:
    """The document of this installation."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(
            operation, secured=secured
        )
    components: dict[str, Any] = {"schemas": schemas(rules)}
    if secured:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Endpoint Register",
            "version": version,
            "description": "Endpoints and their metadata. Dates are ISO 8601 in UTC; ETags are versions, the "
            "same as 19/EPMMP shows them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "."}],
        "paths": paths,
        "components": components,
    }


def _operation(operation: Operation, *, secured: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Scope: `{operation.scope}`.",
        "parameters": [*_path(operation.path), *map(_query, operation.query), *_headers(operation)],
        "responses": _responses(operation, secured=secured),
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {operation.media_type: {"schema": reference(operation.body)}},
        }
    if secured:
        described["security"] = [{"bearer": []}]
    return described


def _path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in _PATH_PARAMETERS.items()
        if f"{{{name}}}" in path
    ]


def _query(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
    }
    if parameter.is_json:
        return described | {"content": {JSON: {"schema": dict(parameter.schema)}}}
    return described | {"schema": dict(parameter.schema)}


def _headers(operation: Operation) -> list[dict[str, Any]]:
    names = {"Correlation-ID": "Taken over into events and logs; made where it is absent."}
    if operation.idempotent:
        names["Idempotency-Key"] = (
            f"1 to {MAX_KEY} printable ASCII characters, chosen anew for each request that repeats no other. "
            "Sent again with its key and the same body within a day, a request is carried out once, and gets "
            "the first one's answer."
        )
    if operation.conditional:
        names["If-Match"] = "Only if this is the ETag, or one of these; `*`: whatever it is."
        names["If-None-Match"] = "Only if this is not the ETag; `*`: only if there is nothing yet."
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in names.items()
    ]


def _responses(operation: Operation, *, secured: bool) -> dict[str, Any]:
    success: dict[str, Any] = {
        "description": _REASONS[operation.success],
        "headers": {"Correlation-ID": _CORRELATION},
    }
    if operation.answer is not None:
        success["content"] = {JSON: {"schema": reference(operation.answer)}}
    if (operation.conditional and operation.method != "DELETE") or operation.success == 201:
        success["headers"]["ETag"] = _ETAG
    if operation.success in (201, 202):
        success["headers"]["Location"] = _LOCATION
    if operation.idempotent:
        success["headers"][REPLAYED] = _REPLAYED
    responses = {str(operation.success): success}
    if operation.conditional and operation.method == "GET":
        responses["304"] = {"description": _REASONS[304], "headers": {"ETag": _ETAG}}
    refusals = {400, 500, 503, *operation.refusals}
    if "{endpointId}" in operation.path:
        refusals.add(404)
    if operation.conditional:
        refusals.add(412)
    if operation.idempotent:
        refusals |= {409, 422}
    if operation.body is not None:
        refusals |= {413, 415}
    if secured:
        refusals |= {401, 403}
    for status in sorted(refusals):
        responses[str(status)] = {
            "description": _REASONS[status],
            "headers": {"Correlation-ID": _CORRELATION, **_outcome(operation, status)},
            "content": {JSON: {"schema": reference("Error")}},
        }
    return responses


def _outcome(operation: Operation, status: int) -> dict[str, Any]:
    return {STORED: _STORED} if status in (500, 503) and operation.method not in SAFE else {}
