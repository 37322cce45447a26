"""An endpoint as it is stored, decoded for changing, and the update that leads from one state to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import bson
from bson import DBRef, Int64
from bson.errors import BSONError

from kaa_epr.mongo.conditional import CLAIM, OUTBOX
from kaa_epr.refusals import Unusable
from kaa_epr.register.decide.values import DECODING

_OWN: Final = frozenset({"_id", "version", "deleted_at", OUTBOX, CLAIM})
"""What a tombstone keeps."""


@dataclass(frozen=True, slots=True)
class EndpointState:
    """One document. ``version`` None: written by others, who number nothing."""

    id: str
    version: int | None = None
    deleted_at: datetime | None = None
    application: str | None = None
    application_version: str | None = None
    endpoint_token: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    metadata_updated_at: datetime | None = None
    app_version_registered_at: datetime | None = None
    registration: str | None = None
    """The batch task that registered it; lets a task that is taken up again know its own work."""
    exists: bool = True
    """Whether there is a document at all, be it a tombstone."""
    pending: bool = False
    """Events of the last change are not published yet, so nothing may follow it."""
    stored_version: Any = None
    """The version as it is stored, which may be a double."""
    others: tuple[str, ...] = ()
    """Fields that we know nothing of."""
    size: int = 0
    """Bytes that the document takes, or more."""

    @property
    def known(self) -> bool:
        """Whether readers see an endpoint."""
        return self.exists and self.deleted_at is None

    @property
    def etag(self) -> str | None:
        """The version in quotes, as NATS and REST show it."""
        return None if self.version is None else f'"{self.version}"'


def absent(endpoint_id: str) -> EndpointState:
    """The state without a document."""
    return EndpointState(endpoint_id, exists=False)


def decode_state(document: bytes) -> EndpointState:
    """The state of a raw document. Raises ``Unusable`` for what readers cannot use either."""
    try:
        fields = bson.decode(document, DECODING)
        metadata = _metadata(fields.get("metadata"))
        version = _version(fields.get("version"))
    except (BSONError, ValueError, KeyError, TypeError) as error:
        raise Unusable from error
    return EndpointState(
        id=fields["_id"],
        version=version,
        deleted_at=fields.get("deleted_at"),
        application=_text(fields, "application"),
        application_version=_text(fields, "application_version"),
        endpoint_token=_text(fields, "endpoint_token"),
        metadata=metadata,
        created_at=_date(fields, "created_at"),
        metadata_updated_at=_date(fields, "metadata_updated_at"),
        app_version_registered_at=_date(fields, "app_version_registered_at"),
        registration=_text(fields, "registration"),
        pending=OUTBOX in fields,
        stored_version=fields.get("version"),
        others=tuple(name for name in fields if name not in _FIELDS and name not in _OWN),
        size=len(document),
    )


def _metadata(stored: Any) -> dict[str, Any]:
    if stored is None:
        return {}
    if isinstance(stored, dict):
        return stored
    if isinstance(stored, DBRef):
        # A document with keys that make it look like one.
        return dict(stored.as_doc())
    if not isinstance(stored, list):
        raise TypeError("metadata is neither an array nor a document")
    values: dict[str, Any] = {}
    for item in stored:
        if not isinstance(item["key"], str):
            raise TypeError("a metadata key is not a string")
        values[item["key"]] = item.get("value")
    return values


def _version(stored: Any) -> int | None:
    if stored is None:
        return None
    if isinstance(stored, bool) or not isinstance(stored, int | float) or int(stored) != stored:
        raise TypeError("the version is not an integer")
    return int(stored)


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _date(fields: Mapping[str, Any], name: str) -> datetime | None:
    value = fields.get(name)
    return value if isinstance(value, datetime) else None


_FIELDS: Final = (
    "deleted_at",
    "application",
    "application_version",
    "endpoint_token",
    "metadata",
    "created_at",
    "metadata_updated_at",
    "app_version_registered_at",
    "registration",
)


def update_between(old: EndpointState, new: EndpointState) -> tuple[dict[str, Any], dict[str, Any]]:
    """``$set`` and ``$unset`` that make the document of ``old`` that of ``new``, outbox left out."""
    set_: dict[str, Any] = {"version": Int64(new.version or 0)}
    gone = []
    for name in _FIELDS:
        before, after = _field(old, name), _field(new, name)
        if after is None and before is not None:
            gone.append(name)
        # Python takes 1, 1.0 and True for equal. Metadata that nobody touched is the same object.
        if after is not None and before is not after and (name == "metadata" or before != after):
            set_[name] = after
    if "metadata" in set_:
        set_["metadata"] = [{"key": key, "value": value} for key, value in new.metadata.items()]
    if new.deleted_at is not None and old.deleted_at is None:
        gone.extend(old.others)
    return set_, dict.fromkeys(gone, "")


def _field(state: EndpointState, name: str) -> Any:
    """As the document has it, ``metadata`` still as a mapping; None: it does not."""
    there = state.exists and (state.deleted_at is None or name == "deleted_at")
    return getattr(state, name) if there else None
