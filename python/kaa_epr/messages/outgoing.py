"""Events that we publish: their kinds, their Avro payloads, and the form in which an outbox keeps them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

import fastavro

from kaa_epr import schemas
from kaa_epr.messages import subjects


class EventKind(StrEnum):
    """Named as in the outbox."""

    REGISTERED = "registered"
    UNREGISTERED = "unregistered"
    APP_VERSION_UPDATED = "appversion-updated"
    METADATA_UPDATED = "metadata-updated"


_SCHEMAS: Final = {
    EventKind.REGISTERED: "events/0009-ep-registered",
    EventKind.UNREGISTERED: "events/0009-ep-unregistered",
    EventKind.APP_VERSION_UPDATED: "events/0009-ep-appversion-updated",
    EventKind.METADATA_UPDATED: "events/0015-ep-metadata-updated",
}
_SUBJECTS: Final[Mapping[EventKind, Callable[[str], str]]] = {
    EventKind.REGISTERED: subjects.registered,
    EventKind.UNREGISTERED: subjects.unregistered,
    EventKind.APP_VERSION_UPDATED: subjects.app_version_updated,
    EventKind.METADATA_UPDATED: subjects.metadata_updated,
}


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """One event as it goes out, and out again if need be: the payload is the same each time."""

    kind: EventKind
    version: int
    """Of the endpoint after the change."""
    payload: bytes
    base: int | None = None
    """The version that its diff is exact against, if the publisher knows. An outbox does not keep it: what
    comes late only invalidates."""

    def subject(self, instance: str) -> str:
        """Where the instance publishes it."""
        return _subject(self.kind, instance)

    @classmethod
    def of_stored(cls, item: Mapping[str, Any]) -> OutgoingEvent:
        """From an item of the outbox. Raises KeyError, TypeError or ValueError for what is none."""
        version, payload = item["version"], item["payload"]
        if not isinstance(version, int | float) or not isinstance(payload, bytes):
            raise TypeError("not an event")
        return cls(EventKind(item["kind"]), int(version), payload)


@cache
def _subject(kind: EventKind, instance: str) -> str:
    return _SUBJECTS[kind](instance)


def encode(kind: EventKind, fields: Mapping[str, Any]) -> bytes:
    """The Avro datum of an event with ``fields`` as its schema names them."""
    return write_datum(_SCHEMAS[kind], fields)


def write_datum(schema: str, fields: Mapping[str, Any]) -> bytes:
    """The Avro datum of a record whose schema is named as ``kaa_epr.schemas`` names it."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, _parsed(schema), dict(fields))
    return buffer.getvalue()


@cache
def _parsed(schema: str) -> Any:
    return fastavro.parse_schema(schemas.load(schema))
