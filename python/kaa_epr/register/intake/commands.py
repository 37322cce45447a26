"""What can be asked of an endpoint. Values are what JSON gives; names and limits are checked by ``apply``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kaa_epr.mongo.documents import Endpoint
from kaa_epr.register.decide.json_patch import Operation


@dataclass(frozen=True, slots=True)
class Register:
    """Make the endpoint known. Its ID must be unknown, or a tombstone."""

    application: str
    application_version: str
    endpoint_token: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    task: str | None = None
    """The batch task that asks for it: what this task registered before counts as done."""


@dataclass(frozen=True, slots=True)
class Unregister:
    """Forget the endpoint; a tombstone stays."""


@dataclass(frozen=True, slots=True)
class SetAppVersion:
    """Move to another application version."""

    application: str
    application_version: str


@dataclass(frozen=True, slots=True)
class ReplaceMetadata:
    """All metadata at once."""

    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PatchMetadata:
    """RFC 6902 over the metadata as one object."""

    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class PutKeys:
    """Set some keys, all or none of them."""

    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteKey:
    """Remove one key."""

    key: str


@dataclass(frozen=True, slots=True)
class Import:
    """Make the endpoint as it is described, whether it is known or not; what is not described is unset."""

    endpoint: Endpoint


SingleCommand = Register | Unregister | SetAppVersion | ReplaceMetadata | PatchMetadata | PutKeys | DeleteKey
"""Those that make one change, with one event."""
Command = SingleCommand | Import
