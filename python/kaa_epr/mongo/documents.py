"""Endpoint documents as we write them, and what keeps one from being written.

Everything is checked before anything is sent: a document the server refuses would fail among hundreds of
others, and one that readers refuse would be found out by a get.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import bson
from bson import Int64
from bson.errors import BSONError

from kaa_epr.errors import shown
from kaa_epr.mongo.errors import StoreError

MAX_ID_LENGTH: Final = 4096
"""Characters of an endpoint ID: a longer one cannot be asked for (19/EPMMP gets answer it with 400)."""
MAX_NAME_LENGTH: Final = 1024
"""Bytes of an application, application version or token; all three are indexed."""
MAX_DOCUMENT: Final = 16 * 1024 * 1024
"""Bytes of one document; MongoDB's own limit."""
MAX_DEPTH: Final = 100
"""Levels of nesting that MongoDB supports, the document itself included."""
METADATA_LEVELS: Final = 3
"""The document, the array and its item come before a metadata value."""

_ENDPOINT_ID: Final = re.compile(r"[a-zA-Z0-9._~-]+")
_REFERENCE: Final = frozenset({"$ref", "$id"})
_UNREADABLE: Final = frozenset({"items", "__iter__"})
"""Names that make BSON's JSON form fail in an object that is read back as a DBRef, as gets print it."""
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class DocumentInvalid(StoreError):
    """An endpoint cannot be stored: which field is wrong, and why. The field's value is never repeated."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = shown(field)
        self.reason = reason

    def message(self) -> str:
        """``field: reason``."""
        return f"{self.field}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is said about an endpoint from outside; version and dates are the store's own."""

    id: str
    application: str | None = None
    application_version: str | None = None
    endpoint_token: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def items(self) -> list[dict[str, Any]]:
        """The metadata as it is stored: ``[{key, value}]`` in insertion order."""
        return [{"key": key, "value": value} for key, value in self.metadata.items()]

    def names(self) -> dict[str, str]:
        """The fields beside the metadata that are set."""
        values = {
            "application": self.application,
            "application_version": self.application_version,
            "endpoint_token": self.endpoint_token,
        }
        return {name: value for name, value in values.items() if value is not None}


def new_document(endpoint: Endpoint, now: datetime) -> dict[str, Any]:
    """The document of an endpoint that did not exist: version 1."""
    document: dict[str, Any] = {
        "_id": endpoint.id,
        **endpoint.names(),
        "metadata": endpoint.items(),
        "version": Int64(1),
        "created_at": now,
        "metadata_updated_at": now,
    }
    if endpoint.application_version is not None:
        document["app_version_registered_at"] = now
    return document


def check_endpoint(endpoint: Endpoint) -> int:
    """Raises ``DocumentInvalid`` unless the endpoint can be stored and read; returns its size in bytes."""
    _check_id(endpoint.id)
    for name, text in endpoint.names().items():
        _check_name(name, text)
    _check_metadata(endpoint.metadata)
    try:
        # Any date does: all have one size.
        size = len(bson.encode(new_document(endpoint, datetime(2000, 1, 1, tzinfo=UTC))))
    except (BSONError, ValueError, OverflowError, TypeError) as error:
        raise DocumentInvalid("metadata", f"not storable ({type(error).__name__})") from None
    if size > MAX_DOCUMENT:
        raise DocumentInvalid("metadata", f"the document would take {size} bytes, at most {MAX_DOCUMENT}")
    return size


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    for key, value in metadata.items():
        if not key:
            raise DocumentInvalid("metadata", "a key is empty")
        _check_key(f"metadata.{key}", key)
        _check_value(f"metadata.{key}", value, METADATA_LEVELS + 1)


def is_endpoint_id(text: str) -> bool:
    """Whether all characters may stand in an endpoint ID; its length is another matter."""
    return _ENDPOINT_ID.fullmatch(text) is not None


def _check_id(endpoint_id: str) -> None:
    if not is_endpoint_id(endpoint_id):
        raise DocumentInvalid(
            "endpointId", "only the characters a-z A-Z 0-9 . _ ~ - are allowed, at least one"
        )
    if len(endpoint_id) > MAX_ID_LENGTH:
        raise DocumentInvalid("endpointId", f"longer than {MAX_ID_LENGTH} characters")


def _check_name(name: str, text: str) -> None:
    if not text:
        raise DocumentInvalid(name, "is empty")
    _check_text(name, text)
    if "\0" in text:
        raise DocumentInvalid(name, "holds a NUL character")
    if len(text.encode()) > MAX_NAME_LENGTH:
        raise DocumentInvalid(name, f"longer than {MAX_NAME_LENGTH} bytes")


def _check_key(path: str, key: str) -> None:
    if "\0" in key:
        raise DocumentInvalid(path, "the name holds a NUL character")
    _check_text(path, key)


def _check_text(path: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DocumentInvalid(path, "holds half a surrogate pair, which UTF-8 cannot") from None


def _check_value(path: str, value: Any, depth: int) -> None:
    if isinstance(value, str):
        _check_text(path, value)
    elif isinstance(value, int) and not _INT64_MIN <= value <= _INT64_MAX:
        raise DocumentInvalid(path, "the integer does not fit into 64 bits")
    elif isinstance(value, Mapping | list) and depth > MAX_DEPTH:
        raise DocumentInvalid(path, f"nested deeper than {MAX_DEPTH} levels")
    elif isinstance(value, Mapping):
        if value.keys() >= _REFERENCE and not _UNREADABLE.isdisjoint(value):
            raise DocumentInvalid(path, "a reference with items or __iter__ has no JSON form")
        for key, below in value.items():
            _check_key(f"{path}.{key}", key)
            _check_value(f"{path}.{key}", below, depth + 1)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            _check_value(f"{path}.{index}", below, depth + 1)
