"""Request bodies, checked by pydantic; what they say in JSON Schema is what they accept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from kaa_epr.refusals import Invalid
from kaa_epr.register.intake.api import Value

ID_PATTERN: Final = r"^[a-zA-Z0-9._~-]+$"
VERSION_PATTERN: Final = r"^[a-z0-9_-]+$"
MAX_ID: Final = 256
MAX_TOKEN: Final = 256
MAX_NAME: Final = 255
MAX_ENDPOINTS: Final = 1000
"""Of one batch registration."""

DOT_SEGMENTS: Final = (".", "..")
"""IDs that no URL can name: clients take them out of a path before they send it (RFC 3986, 5.2.4)."""

_TEXTS: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not a field of this request",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "too_short": "has too few elements",
    "too_long": "has too many elements",
}
"""For errors whose texts of pydantic speak of Python; the others stay as they are."""


def _nameable(endpoint_id: str) -> str:
    if endpoint_id in DOT_SEGMENTS:
        raise ValueError("no URL can name it")
    return endpoint_id


EndpointId = Annotated[str, Field(pattern=ID_PATTERN, max_length=MAX_ID), AfterValidator(_nameable)]
EndpointToken = Annotated[str, Field(pattern=r"^[^+#/.\x00]+$", max_length=MAX_TOKEN)]


def _an_object(metadata: Value) -> Value:
    if metadata.kind != "object":
        raise PydanticCustomError("dict_type", "must be a JSON object")
    return metadata


Metadata = Annotated[
    Any, AfterValidator(_an_object), WithJsonSchema({"additionalProperties": True, "type": "object"})
]
"""Stays what the intake read, a ``Value``; in JSON Schema an object."""


class _Body(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", strict=True, hide_input_in_errors=True
    )


class AppVersionBody(_Body):
    """An application version, by its name."""

    name: Annotated[str, Field(pattern=VERSION_PATTERN, max_length=MAX_NAME)]


class RegisterBody(_Body):
    """``POST /endpoints``: one endpoint; ID and token are made where they are not given."""

    app_version: AppVersionBody
    metadata: Metadata = Field(default_factory=lambda: None)
    """None: there are none."""
    endpoint_token: EndpointToken | None = None
    endpoint_id: EndpointId | None = None


class BatchItem(_Body):
    """One endpoint of a batch."""

    metadata: Metadata
    endpoint_token: EndpointToken | None = None
    endpoint_id: EndpointId | None = None


class BatchBody(_Body):
    """Endpoints of one application version; each is a ``BatchItem``, to be validated in its turn."""

    app_version: AppVersionBody
    endpoints: Annotated[list[Any], Field(min_length=1, max_length=MAX_ENDPOINTS)]


Model = TypeVar("Model", bound=BaseModel)


MAX_FIELDS: Final = 16
"""Of a request; none has as many that are known."""
MAX_FIELD: Final = 4096
"""Bytes of a field other than metadata, as BSON."""


def members_of(sent: Value, where: str = "body") -> Sequence[tuple[str, Value]]:
    """A request's fields, not yet looked at. Raises ``Invalid`` for what is no object, or no request's."""
    if sent.kind != "object":
        raise Invalid(where, "must be a JSON object")
    if sent.count > MAX_FIELDS:
        raise Invalid(where, f"has more than {MAX_FIELDS} fields")
    return sent.items()


def plain(name: str, field: Value) -> Any:
    """A field that is short, as Python objects. Raises ``Invalid``."""
    if field.size > MAX_FIELD:
        raise Invalid(name, "is too long")
    return field.python()


def fields_of(sent: Value, where: str = "body") -> Any:
    """A request's fields as Python objects, but for its metadata, which stay a ``Value``.

    Raises ``Invalid`` for what is no object, and for what is longer than any that would be taken.
    """
    before = "" if where == "body" else f"{where}."
    members = members_of(sent, where)
    return {name: field if name == "metadata" else plain(before + name, field) for name, field in members}


def validated(model: type[Model], body: Any, where: str = "") -> Model:
    """``body`` as ``model``. Raises ``Invalid`` naming the first field that is wrong, never its value.

    ``where``: what the names of fields begin with, such as ``endpoints.7``.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join([*filter(None, [where]), *(str(part) for part in first["loc"])]) or "body"
        raise Invalid(field, _TEXTS.get(first["type"], first["msg"])) from None
