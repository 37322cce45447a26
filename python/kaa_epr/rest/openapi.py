"""The OpenAPI 3.1 document, made from the table of operations and the settings."""

from __future__ import annotations

from typing import Any, Final

from kaa_epr.changes.rules import Rules
from kaa_epr.rest import models
from kaa_epr.rest.http import JSON
from kaa_epr.rest.operations import OPERATIONS, Operation
from kaa_epr.rest.query import Parameter

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
    413: "Too large; the message names the field.",
    415: "Not the content type that is taken.",
    500: "The stored endpoint is unusable, or a bug.",
    503: "The store or NATS is not available.",
}
_ETAG: Final = {"description": "The endpoint's version.", "schema": {"type": "string"}}
_CORRELATION: Final = {"description": "The request's, or a new one.", "schema": {"type": "string"}}
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
    components: dict[str, Any] = {"schemas": _schemas(rules)}
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
            "content": {operation.media_type: {"schema": _reference(operation.body)}},
        }
    if secured:
        described["security"] = [{"bearer": []}]
    return described


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


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
        success["content"] = {JSON: {"schema": _reference(operation.answer)}}
    if (operation.conditional and operation.method != "DELETE") or operation.success == 201:
        success["headers"]["ETag"] = _ETAG
    if operation.success in (201, 202):
        success["headers"]["Location"] = _LOCATION
    responses = {str(operation.success): success}
    if operation.conditional and operation.method == "GET":
        responses["304"] = {"description": _REASONS[304], "headers": {"ETag": _ETAG}}
    refusals = {400, 500, 503, *operation.refusals}
    if "{endpointId}" in operation.path:
        refusals.add(404)
    if operation.conditional:
        refusals.add(412)
    if operation.body is not None:
        refusals |= {413, 415}
    if secured:
        refusals |= {401, 403}
    for status in sorted(refusals):
        responses[str(status)] = {
            "description": _REASONS[status],
            "headers": {"Correlation-ID": _CORRELATION},
            "content": {JSON: {"schema": _reference("Error")}},
        }
    return responses


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _closed(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {**_object(required, **properties), "additionalProperties": False}


def _schemas(rules: Rules) -> dict[str, Any]:
    text = {"type": "string"}
    date = {"type": "string", "format": "date-time"}
    count = {"type": "integer", "minimum": 0}
    endpoint_id = {"type": "string", "pattern": models.ID_PATTERN, "maxLength": models.MAX_ID}
    token = {"type": "string", "pattern": r"^[^+#/.\u0000]+$", "maxLength": models.MAX_TOKEN}
    key = {"type": "string", "minLength": 1, "maxLength": rules.max_key_length, "pattern": r"^[^\u0000]+$"}
    if rules.key_pattern is not None:
        key["allOf"] = [{"pattern": f"^(?:{rules.key_pattern.pattern})$"}]
    optional = {
        "endpointToken": {"anyOf": [token, {"type": "null"}]},
        "endpointId": {"anyOf": [endpoint_id, {"type": "null"}]},
    }
    version_name = _closed(
        ("name",), name={"type": "string", "pattern": models.VERSION_PATTERN, "maxLength": models.MAX_NAME}
    )
    metadata = {
        "type": "object",
        "maxProperties": rules.max_keys,
        "propertyNames": key,
        "additionalProperties": _reference("MetadataValue"),
    }
    return {
        "Error": _object(("message",), message=text),
        "AppVersionName": version_name,
        "AppVersion": _object(("name",), name=text, registeredDate=date),
        "MetadataValue": {
            "description": "Any JSON value. A number without fraction and exponent must fit into 64 bits, "
            "which JSON Schema cannot say: to it 1e48 is an integer too.",
            "anyOf": [
                {"type": ["null", "boolean", "string", "number"]},
                {"type": "array", "items": _reference("MetadataValue")},
                {
                    "type": "object",
                    "propertyNames": {"pattern": r"^[^\u0000]*$"},
                    "additionalProperties": _reference("MetadataValue"),
                },
            ],
        },
        "StoredValue": {"description": "Any JSON value."},
        "Metadata": metadata,
        "Registration": _closed(
            ("appVersion",),
            appVersion=_reference("AppVersionName"),
            metadata=_reference("Metadata"),
            **optional,
        ),
        "RegisteredEndpoint": _object(
            ("token", "status", "endpointId"),
            token=text,
            status={"type": "string", "enum": ["Active", "Inactive"]},
            endpointId=text,
        ),
        "Endpoint": _object(
            ("endpointId",),
            endpointId=text,
            createdDate=date,
            appVersion=_reference("AppVersion"),
            metadata={"type": "object"},
            metadataUpdatedDate=date,
            endpointToken=text,
        ),
        "EndpointPage": _object(
            ("content", "totalElements"),
            content={"type": "array", "items": _reference("Endpoint")},
            totalElements=count,
        ),
        "BatchRegistration": _closed(
            ("appVersion", "endpoints"),
            appVersion=_reference("AppVersionName"),
            endpoints={
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                "items": _closed(("metadata",), metadata=_reference("Metadata"), **optional),
            },
        ),
        "TaskReference": _object(("taskId",), taskId=text),
        "BatchStatus": _object(
            ("finished", "createdCount", "failedCount", "created", "failed"),
            finished={"type": "boolean"},
            createdCount=count,
            failedCount=count,
            created={"type": "array", "items": {"type": "object"}},
            failed={"type": "array", "items": {"type": "object"}},
        ),
        "JsonPatch": {"type": "array", "maxItems": 10_000, "items": _patch_operation()},
        "KeyList": {"type": "array", "items": text},
        "KeysByVersion": {"type": "object", "additionalProperties": {"type": "array", "items": text}},
    }


def _patch_operation() -> dict[str, Any]:
    pointer = {"type": "string", "pattern": "^(/([^/~]|~[01])*)*$"}
    with_value = {
        **_object(("op", "path", "value"), path=pointer, value=_reference("MetadataValue")),
    }
    with_value["properties"]["op"] = {"enum": ["add", "replace", "test"]}
    remove = _object(("op", "path"), path=pointer)
    remove["properties"]["op"] = {"const": "remove"}
    with_from = _object(("op", "path", "from"), path=pointer)
    with_from["properties"] |= {"op": {"enum": ["move", "copy"]}, "from": pointer}
    return {"anyOf": [with_value, remove, with_from]}
