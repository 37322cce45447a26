"""What an endpoint is between two commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from kaa_epr.engine.pure.bson_check import DocumentError
from kaa_epr.register.decide.pure.raw import RawValue
from kaa_epr.register.decide.pure.stored import NAMES, Stored, metadata_of, version_of

_LAST_VERSION: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Names:
    """What an endpoint belongs to; what is stored and no string counts as absent."""

    application: str | None = None
    app_version: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Dates in Unix milliseconds."""

    id: str
    exists: bool = True
    """Whether there is a document at all, be it a tombstone."""
    deleted: bool = False
    version: int | None = None
    """None: written by others, who number nothing; or unreadable."""
    numbered: bool = True
    """Whether the version could be read and can grow."""
    readable: bool = True
    """Whether version and metadata, and all else that readers read through, could be read."""
    tidy: bool = True
    """Whether none of the names is there and no string: readers refuse such a document."""
    names: Names = Names()
    metadata: Mapping[str, RawValue] = field(default_factory=dict)
    metadata_bytes: int = 0
    """What it takes as stored, see ``size_of``."""
    created_at: int | None = None
    metadata_updated_at: int | None = None
    app_version_registered_at: int | None = None
    registration: str | None = None

    deleted_at: int | None = None
    """When it was unregistered, by a command of this plan."""
    new_metadata: bool = False
    """Whether it is other than what is stored."""
    wiped: bool = False
    """Whether fields that we know nothing of go."""
    repaired: bool = False
    """Whether fields that cannot be read go."""

    @property
    def known(self) -> bool:
        """Whether readers see an endpoint."""
        return self.exists and not self.deleted

    @property
    def etag(self) -> str | None:
        """The version in quotes, as NATS and REST show it."""
        return None if self.version is None else f'"{self.version}"'

    def next_version(self, now_ms: int) -> int:
        """Versions grow by one. Where none can be read, the next must be above whatever was seen before."""
        return (self.version or 0) + 1 if self.numbered else max(now_ms, 1)


def read_state(endpoint_id: str, stored: Stored) -> State:
    """The state that is stored."""
    if not stored.exists:
        return State(endpoint_id, exists=False)
    state = State(
        endpoint_id,
        deleted=stored.present("deleted_at") is not None,
        readable=stored.problem is None,
        tidy=all(stored.present(name) is None or stored.text(name) is not None for name in NAMES),
        names=Names(
            stored.text("application"), stored.text("application_version"), stored.text("endpoint_token")
        ),
        created_at=stored.date("created_at"),
        metadata_updated_at=stored.date("metadata_updated_at"),
        app_version_registered_at=stored.date("app_version_registered_at"),
        registration=stored.text("registration"),
    )
    return _with_metadata(_with_version(state, stored), stored)


def _with_version(state: State, stored: Stored) -> State:
    try:
        version = version_of(stored)
    except DocumentError:
        return replace(state, numbered=False, readable=False)
    return replace(state, version=version, numbered=version != _LAST_VERSION)


def _with_metadata(state: State, stored: Stored) -> State:
    try:
        metadata = metadata_of(stored)
    except DocumentError:
        return replace(state, readable=False)
    return replace(state, metadata=metadata, metadata_bytes=size_of(metadata))


def size_of(metadata: Mapping[str, RawValue]) -> int:
    """Bytes of the document ``{"": metadata}``, with the metadata as it is stored."""
    items = sum(
        len(str(place)) + 24 + len(key.encode()) + len(value.data)
        for place, (key, value) in enumerate(metadata.items())
    )
    return 12 + items
