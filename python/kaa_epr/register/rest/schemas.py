"""JSON Schemas of bodies and answers, as the OpenAPI document names them."""

from __future__ import annotations

from typing import Any, Final

from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.rest import models
from kaa_epr.register.tasks import MAX_ENDPOINTS

Schema = dict[str, Any]

_TEXT: Final = {"type": "string"}
_DATE: Final = {"type": "string", "format": "date-time"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_OBJECTS: Final = {"type": "array", "items": {"type": "object"}}
_NAME: Final = {"type": "string", "pattern": models.VERSION_PATTERN, "maxLength": models.MAX_NAME}
_POINTER: Final = {"type": "string", "pattern": "^(/([^/~]|~[01])*)*$"}
_GIVEN_OR_MADE: Final = {
    "endpointToken": {
        "anyOf": [
            {"type": "string", "pattern": r"^[^+#/.\u0000]+$", "maxLength": models.MAX_TOKEN},
            {"type": "null"},
        ]
    },
    "endpointId": {
        "anyOf": [
            {
                "type": "string",
                "pattern": models.ID_PATTERN,
                "maxLength": models.MAX_ID,
                "not": {"enum": list(models.DOT_SEGMENTS)},
            },
            {"type": "null"},
        ]
    },
}


def reference(name: str) -> Schema:
    """A reference to one of the schemas below."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas(rules: Rules) -> Schema:
    """All of them, by name."""
    return {**_bodies(rules), **_answers()}


def _object(required: tuple[str, ...], **properties: Any) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


def _closed(required: tuple[str, ...], **properties: Any) -> Schema:
    return {**_object(required, **properties), "additionalProperties": False}


def _bodies(rules: Rules) -> Schema:
    version = {"appVersion": reference("AppVersionName")}
    item = _closed(("metadata",), metadata=reference("Metadata"), **_GIVEN_OR_MADE)
    items = {"type": "array", "minItems": 1, "maxItems": MAX_ENDPOINTS, "items": item}
    return {
        "AppVersionName": _closed(("name",), name=_NAME),
        "MetadataValue": _metadata_value(),
        "Metadata": _metadata(rules),
        "Registration": _closed(("appVersion",), **version, metadata=reference("Metadata"), **_GIVEN_OR_MADE),
        "BatchRegistration": _closed(("appVersion", "endpoints"), **version, endpoints=items),
        "JsonPatch": {"type": "array", "maxItems": 10_000, "items": _patch_operation()},
    }


def _metadata(rules: Rules) -> Schema:
    key: Schema = {
        "type": "string",
        "minLength": 1,
        "maxLength": rules.max_key_length,
        "pattern": r"^[^\u0000]+$",
    }
    if rules.key_pattern is not None:
        key["allOf"] = [{"pattern": f"^(?:{rules.key_pattern.pattern})$"}]
    return {
        "type": "object",
        "maxProperties": rules.max_keys,
        "propertyNames": key,
        "additionalProperties": reference("MetadataValue"),
    }


def _metadata_value() -> Schema:
    return {
        "description": "Any JSON value. A number without fraction and exponent must fit into 64 bits, "
        "which JSON Schema cannot say: to it 1e48 is an integer too.",
        "anyOf": [
            {"type": ["null", "boolean", "string", "number"]},
            {"type": "array", "items": reference("MetadataValue")},
            {
                "type": "object",
                "propertyNames": {"pattern": r"^[^\u0000]*$"},
                "additionalProperties": reference("MetadataValue"),
            },
        ],
    }


def _patch_operation() -> Schema:
    with_value = _object(
        ("op", "path", "value"),
        op={"enum": ["add", "replace", "test"]},
        path=_POINTER,
        value=reference("MetadataValue"),
    )
    remove = _object(("op", "path"), op={"const": "remove"}, path=_POINTER)
    with_from = _object(
        ("op", "path", "from"), op={"enum": ["move", "copy"]}, path=_POINTER, **{"from": _POINTER}
    )
    return {"anyOf": [with_value, remove, with_from]}


def _answers() -> Schema:
    return {
        "Error": _object(("message",), message=_TEXT),
        "AppVersion": _object(("name",), name=_TEXT, registeredDate=_DATE),
        "StoredValue": {"description": "Any JSON value."},
        "RegisteredEndpoint": _object(
            ("token", "status", "endpointId"),
            token=_TEXT,
            status={"type": "string", "enum": ["Active", "Inactive"]},
            endpointId=_TEXT,
        ),
        "Endpoint": _object(
            ("endpointId",),
            endpointId=_TEXT,
            createdDate=_DATE,
            appVersion=reference("AppVersion"),
            metadata={"type": "object"},
            metadataUpdatedDate=_DATE,
            endpointToken=_TEXT,
            problem={
                "type": "string",
                "description": "In lists: why the stored endpoint cannot be shown as a whole. What cannot be "
                "read is left out; a full PUT of its metadata, or DELETE, repairs it.",
            },
        ),
        "EndpointPage": _object(
            ("content", "totalElements"),
            content={"type": "array", "items": reference("Endpoint")},
            totalElements=_COUNT,
            totalElementsIsLowerBound={
                "const": True,
                "description": "There where counting took too long: there may be more than totalElements.",
            },
            truncated={
                "const": True,
                "description": "There where the page ends before its limit although there are more: it would "
                "exceed 16 MiB, or the store failed meanwhile.",
            },
        ),
        "TaskReference": _object(("taskId",), taskId=_TEXT),
        "BatchStatus": _object(
            ("finished", "totalCount", "createdCount", "failedCount", "created", "failed"),
            finished={"type": "boolean"},
            totalCount=_COUNT,
            createdCount=_COUNT,
            failedCount=_COUNT,
            created=_OBJECTS,
            failed=_OBJECTS,
        ),
        "KeyList": {"type": "array", "items": _TEXT},
        "KeysByVersion": {"type": "object", "additionalProperties": {"type": "array", "items": _TEXT}},
    }
