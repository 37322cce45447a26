"""Query parameters, each declared once: how it is checked, and how OpenAPI tells it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kaa_epr.http.routing import query_values
from kaa_epr.refusals import Invalid
from kaa_epr.register.intake.api import JsonLimits
from kaa_epr.register.intake.json_text import parse_json

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_LIMITS: Final = JsonLimits(max_values=1000)
"""Few enough for the pure reader, which needs no choice of an engine."""
UNSUPPORTED: Final = ("filterId", "multiFilter", "regex")
"""Of Kaa's interface and not available here: taking no notice of them would list the wrong endpoints."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter."""

    name: str
    schema: Mapping[str, Any]
    description: str
    required: bool = False
    is_json: bool = False

    def read(self, params: Mapping[str, list[str]]) -> Any:
        """Its value, its default, or None. Raises ``Invalid``."""
        given = params.get(self.name)
        if not given:
            if self.required:
                raise Invalid(self.name, "is required")
            return self.schema.get("default")
        if self.schema["type"] == "array":
            return [part for text in given for part in text.split(",") if part]
        if len(given) > 1:
            raise Invalid(self.name, "is given twice")
        return self._value(given[0])

    def _value(self, text: str) -> Any:
        schema = self.schema
        if self.is_json:
            return self._json(text)
        if schema["type"] == "integer":
            if not _INTEGER.fullmatch(text) or not schema["minimum"] <= int(text) <= schema["maximum"]:
                raise Invalid(
                    self.name, f"must be a whole number from {schema['minimum']} to {schema['maximum']}"
                )
            return int(text)
        if "enum" in schema and text not in schema["enum"]:
            raise Invalid(self.name, f"must be one of {', '.join(schema['enum'])}")
        return text

    def _json(self, text: str) -> Any:
        sent = parse_json(text.encode("utf-8", "surrogatepass"), self.name, _LIMITS)
        if sent.kind != "object":
            raise Invalid(self.name, "must be a JSON object of keys and the values they must have")
        members = sent.items()
        if any(value.kind in ("array", "object") for _, value in members):
            raise Invalid(self.name, "values must be strings, numbers, booleans or null")
        if len(members) > schema_limit(self.schema):
            raise Invalid(self.name, f"more than {schema_limit(self.schema)} keys")
        return {key: value.python() for key, value in members}


def schema_limit(schema: Mapping[str, Any]) -> int:
    """Most properties that an object may have."""
    limit: int = schema["maxProperties"]
    return limit


def read_all(parameters: tuple[Parameter, ...], query: bytes) -> dict[str, Any]:
    """Every declared parameter by name; those that nobody declared mean nothing. Raises ``Invalid``."""
    params = query_values(query)
    for name in UNSUPPORTED:
        if name in params:
            raise Invalid(name, "filters are not available")
    return {parameter.name: parameter.read(params) for parameter in parameters}


OFFSET: Final = Parameter(
    "offset",
    {"type": "integer", "minimum": 0, "maximum": 1_000_000, "default": 0},
    "How many endpoints to leave out.",
)
LIMIT: Final = Parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": 1000, "default": 20},
    "Most endpoints to show. A page ends earlier where it would exceed 16 MiB; `truncated` tells.",
)
ENDPOINT_ID: Final = Parameter("endpointId", {"type": "string"}, "Only the endpoint with this ID.")
APPLICATION: Final = Parameter("applicationName", {"type": "string"}, "Only endpoints of this application.")
APP_VERSION: Final = Parameter(
    "applicationVersionName", {"type": "string"}, "Only endpoints of this application version."
)
INCLUDE_METADATA: Final = Parameter(
    "include", {"type": "string", "enum": ["metadata"]}, "`metadata`: show the metadata too."
)
INCLUDE_KEYS: Final = Parameter(
    "include",
    {"type": "array", "items": {"type": "string"}},
    "Only these keys, comma-separated or repeated; none: all.",
)
METADATA_FILTER: Final = Parameter(
    "metadataFilter",
    {
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": ["string", "boolean", "null", "number"]},
    },
    'Only endpoints whose metadata has these values, such as `{"model": "SM-200"}`; 27 and 27.0 are equal.',
    is_json=True,
)
APP_NAME: Final = Parameter("appName", {"type": "string"}, "The application of the task.", required=True)
TASK_ID: Final = Parameter("taskId", {"type": "string"}, "The task, as it was answered.", required=True)
