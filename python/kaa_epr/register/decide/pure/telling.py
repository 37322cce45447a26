"""From events to what is published."""

from __future__ import annotations

from kaa_epr.messages.outgoing import EventKind, OutgoingEvent, encode
from kaa_epr.refusals import TooLarge
from kaa_epr.register.decide.api import Author
from kaa_epr.register.decide.pure.apply import (
    AppVersionUpdated,
    Event,
    MetadataUpdated,
    Registered,
    Unregistered,
)
from kaa_epr.register.decide.pure.state import State


def outgoing(
    event: Event, state: State, correlation_id: str, author: Author, max_bytes: int
) -> OutgoingEvent:
    """The event that tells how the endpoint came to ``state``. Raises ``TooLarge``."""
    kind, fields = _fields(event)
    payload = encode(
        kind,
        {
            "correlationId": correlation_id,
            "timestamp": author.wall_ms,
            "timeout": 0,
            "endpointId": state.id,
            "originatorReplicaId": author.replica_id,
            **fields,
        },
    )
    if len(payload) > max_bytes:
        raise TooLarge("metadata", f"the change's event takes {len(payload)} bytes, NATS takes {max_bytes}")
    base = event.base if isinstance(event, MetadataUpdated) else None
    return OutgoingEvent(kind, state.version or 0, payload, base)


def _fields(event: Event) -> tuple[EventKind, dict[str, object]]:
    match event:
        case Registered():
            return EventKind.REGISTERED, {"appVersionName": event.app_version}
        case Unregistered():
            return EventKind.UNREGISTERED, {"appVersionName": event.app_version}
        case AppVersionUpdated():
            names = {"appVersionName": event.app_version, "previousAppVersionName": event.previous}
            return EventKind.APP_VERSION_UPDATED, {**names}
        case MetadataUpdated():
            updated = {
                key: {"newValue": new, "oldValue": old} for key, (new, old) in event.diff.updated.items()
            }
            maps = {"added": event.diff.added, "removed": event.diff.removed, "updated": updated}
            return EventKind.METADATA_UPDATED, {"appVersionName": event.app_version, **maps}
