"""What an event tells: that an endpoint changed, and to which version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from kaa_epr.client.codec import MAX_ID_BYTES
from kaa_epr.engine.api import Kind
from kaa_epr.engine.pure.checked import DecodeError
from kaa_epr.engine.pure.codec import decode_event
from kaa_epr.engine.pure.writers import version_of
from kaa_epr.messages import subjects
from kaa_epr.nats.writer import VERSION

_VERSION: Final = VERSION.lower()


class Told(NamedTuple):
    """One event: the endpoint is at ``version`` now, or gone since it."""

    kind: Kind
    endpoint_id: str
    version: int | None
    """``Kaa-Epr-Version``; None: a foreign event, or a server without headers."""

    @property
    def deleted(self) -> bool:
        """Whether the endpoint was unregistered."""
        return self.kind is Kind.UNREGISTERED

    def follows(self, other: Told) -> bool:
        """Whether this one may tell of a later change of the same endpoint than ``other``."""
        return self.version is None or other.version is None or self.version > other.version


def read_event(kind: Kind, headers: Mapping[str, str], payload: bytes) -> Told | None:
    """The event, or None when it names no endpoint that can be asked for."""
    try:
        endpoint_id = decode_event(kind, payload)
    except DecodeError:
        return None
    if len(endpoint_id.encode()) > MAX_ID_BYTES:
        return None
    value = next((text for name, text in headers.items() if name.lower() == _VERSION), None)
    return Told(kind, endpoint_id, None if value is None else version_of(value.strip().encode()))


def event_subjects(originators: Sequence[str]) -> dict[str, Kind]:
    """Subject → kind of the events that say that an endpoint's answer changed."""
    return {
        subject(originator): kind
        for originator in originators
        for subject, kind in (
            (subjects.metadata_updated, Kind.METADATA_UPDATED),
            (subjects.registered, Kind.REGISTERED),
            (subjects.unregistered, Kind.UNREGISTERED),
            (subjects.app_version_updated, Kind.APP_VERSION_UPDATED),
        )
    }
