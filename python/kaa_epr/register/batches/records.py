"""The document of a task, to BSON and back. Whatever is not as it should be is found out here."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

import bson
from bson import Binary
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from kaa_epr.errors import KaaEprError
from kaa_epr.refusals import TooLarge
from kaa_epr.register.decide.values import DECODING
from kaa_epr.register.intake.api import Value
from kaa_epr.slices import Slice

MAX_TASK_BYTES: Final = 15 * 1024 * 1024
"""Of a task as it is accepted: MongoDB takes 16 MiB, and outcomes come to it."""

_WRAP: Final = b"\3\0"
"""Type and empty name of a document in another."""

T = TypeVar("T")
ValueOf = Callable[[bytes], Value]


class TaskUnusable(KaaEprError):
    """A document among the tasks that is none."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field

    def message(self) -> str:
        """What is wrong with it."""
        return f"{self.field} is missing, or not what it should be"


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """One item of a batch, its ID and token decided."""

    endpoint_id: str
    endpoint_token: str
    metadata: Value
    """An object."""

    def stored(self) -> dict[str, Any]:
        """As the task's document has it: metadata as BSON in binary, which nobody takes for anything else."""
        metadata = Binary(self.metadata.bson[len(_WRAP) + 4 : -1])
        return {"id": self.endpoint_id, "token": self.endpoint_token, "metadata": metadata}


class Failed(NamedTuple):
    """An endpoint that was not registered."""

    position: int
    reason: str

    def stored(self) -> dict[str, Any]:
        """As the task's document has it."""
        return {"position": self.position, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task."""

    id: str
    application: str
    application_version: str
    correlation_id: str
    items: Sequence[Mapping[str, Any]]
    """Their metadata is not decoded yet: all together it may take long."""
    finished: bool = False
    settled: int = 0
    """The first so many items are registered or refused."""
    failed: tuple[Failed, ...] = ()
    attempts: int = 0
    """Since one was settled last."""
    taken: int = 0
    """How often somebody began to work on it."""
    versions: tuple[int | None, ...] | None = None
    """Of the endpoints before any was registered; None: not looked at yet."""
    age: float = 0.0
    """Seconds from that look to the claim, by MongoDB's clock."""

    def endpoint_id(self, position: int) -> str:
        """Of an item. Raises ``TaskUnusable``."""
        return _typed(self.items[position], "id", str)

    def size(self, position: int) -> int:
        """Bytes of an item, as it is stored."""
        item = self.items[position]
        return len(item.raw) if isinstance(item, RawBSONDocument) else 0

    def endpoint(self, position: int, value_of: ValueOf) -> NewEndpoint:
        """An item, read by the intake's ``value_of``. Raises ``TaskUnusable``."""
        item = self.items[position]
        metadata = item.get("metadata")
        try:
            if not isinstance(metadata, bytes):  # as tasks were stored before
                metadata = bson.encode(
                    {
                        pair["key"]: bson.decode(pair.raw, DECODING).get("value")
                        for pair in _typed(item, "metadata", list)
                    }
                )
            value = value_of(_wrapped(metadata))
        except (BSONError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise TaskUnusable("metadata") from error
        return NewEndpoint(_typed(item, "id", str), _typed(item, "token", str), value)

    @classmethod
    def of_stored(cls, document: Mapping[str, Any]) -> TaskRecord:
        """From the task's document. Raises ``TaskUnusable``."""
        items = _all(_typed(document, "endpoints", list), RawBSONDocument, "endpoints")
        failed = _all(_optional(document, "failed", list) or (), RawBSONDocument, "failed")
        seen = _optional(document, "seen", RawBSONDocument)
        record = cls(
            _typed(document, "_id", str),
            _typed(document, "application", str),
            _typed(document, "application_version", str),
            _typed(document, "correlation_id", str),
            items,
            finished=document.get("state") == "done",
            settled=_optional(document, "settled", int) or 0,
            failed=tuple(
                Failed(_typed(item, "position", int), _typed(item, "reason", str)) for item in failed
            ),
            attempts=_optional(document, "attempts", int) or 0,
            taken=_optional(document, "taken", int) or 0,
            versions=None if seen is None else tuple(_versions(seen, len(items))),
            age=_age(_optional(document, "claim", RawBSONDocument), seen),
        )
        if not 0 <= record.settled <= len(items):
            raise TaskUnusable("settled")
        if not all(0 <= item.position < len(items) for item in record.failed):
            raise TaskUnusable("failed")
        return record


def _wrapped(document: bytes) -> bytes:
    """The document as the only element, without a name, of another."""
    return struct.pack("<i", len(document) + len(_WRAP) + 5) + _WRAP + document + b"\0"


async def new_document(
    task_id: str,
    application: str,
    application_version: str,
    endpoints: Sequence[NewEndpoint],
    correlation_id: str,
) -> dict[str, Any]:
    """The document of a task that is accepted. Raises ``TooLarge``."""
    items = []
    size = 0
    work = Slice()
    for endpoint in endpoints:
        await work.give_way()
        item = endpoint.stored()
        size += len(item["metadata"]) + len(endpoint.endpoint_id) + len(endpoint.endpoint_token) + 64
        items.append(item)
    if size > MAX_TASK_BYTES:
        raise TooLarge("endpoints", f"{size} bytes as they are stored, a batch takes {MAX_TASK_BYTES}")
    return {
        "_id": task_id,
        "application": application,
        "application_version": application_version,
        "correlation_id": correlation_id,
        "endpoints": items,
    }


def _typed(document: Mapping[str, Any], name: str, kind: type[T]) -> T:
    value = document.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TaskUnusable(name)
    return value


def _optional(document: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    return _typed(document, name, kind) if name in document else None


def _all(values: Iterable[Any], kind: type[T], name: str) -> list[T]:
    found = list(values)
    if not all(isinstance(value, kind) for value in found):
        raise TaskUnusable(name)
    return found


def _versions(seen: Mapping[str, Any], count: int) -> list[int | None]:
    versions = _typed(seen, "versions", list)
    if len(versions) != count or not all(value is None or isinstance(value, int) for value in versions):
        raise TaskUnusable("seen.versions")
    return versions


def _age(claim: Mapping[str, Any] | None, seen: Mapping[str, Any] | None) -> float:
    """Both dates are MongoDB's own."""
    at = None if claim is None else claim.get("at")
    begun = None if seen is None else seen.get("at")
    if not isinstance(at, datetime) or not isinstance(begun, datetime):
        return 0.0
    return (at - begun).total_seconds()
