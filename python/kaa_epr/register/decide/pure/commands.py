"""Commands of the pure planner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from kaa_epr.register.decide.api import Items
from kaa_epr.register.decide.pure import raw
from kaa_epr.register.decide.pure.patch import Operation
from kaa_epr.register.decide.pure.raw import RawValue
from kaa_epr.register.decide.pure.state import Names
from kaa_epr.register.intake.api import Value

Metadata = Mapping[str, RawValue]


@dataclass(frozen=True, slots=True)
class Base:
    """What all of them have."""

    kind: ClassVar[str]

    @property
    def weight(self) -> int:
        """Bytes that it brings."""
        return 0


@dataclass(frozen=True, slots=True)
class WithMetadata(Base):
    """Those that bring values."""

    metadata: Metadata

    @property
    def weight(self) -> int:
        """Bytes that it brings."""
        return sum(len(key.encode()) + len(value.data) for key, value in self.metadata.items())


@dataclass(frozen=True, slots=True)
class Register(WithMetadata):
    """Make the endpoint known."""

    kind = "register"
    names: Names
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Unregister(Base):
    """Forget the endpoint."""

    kind = "unregister"


@dataclass(frozen=True, slots=True)
class SetAppVersion(Base):
    """Move to another application version."""

    kind = "set_app_version"
    application: str
    app_version: str


@dataclass(frozen=True, slots=True)
class ReplaceMetadata(WithMetadata):
    """All metadata at once."""

    kind = "replace_metadata"


@dataclass(frozen=True, slots=True)
class PatchMetadata(Base):
    """RFC 6902."""

    kind = "patch_metadata"
    operations: tuple[Operation, ...]
    size: int

    @property
    def weight(self) -> int:
        """Bytes that it brings."""
        return self.size


@dataclass(frozen=True, slots=True)
class PutKeys(WithMetadata):
    """Set some keys."""

    kind = "put_keys"


@dataclass(frozen=True, slots=True)
class DeleteKey(Base):
    """Remove one key."""

    kind = "delete_key"
    key: str


@dataclass(frozen=True, slots=True)
class Import(WithMetadata):
    """Make the endpoint as it is described."""

    kind = "import"
    names: Names


AnyCommand = (
    Register | Unregister | SetAppVersion | ReplaceMetadata | PatchMetadata | PutKeys | DeleteKey | Import
)


def metadata_of(items: Items) -> dict[str, RawValue]:
    """Values of any implementation as the bytes they are stored as."""
    return {key: raw_of(value) for key, value in items}


def raw_of(value: Value) -> RawValue:
    """One of them."""
    return raw.of_bson(value.bson)
