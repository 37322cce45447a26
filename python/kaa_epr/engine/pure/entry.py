"""One endpoint as it is cached: from a raw BSON document, and projected to what a get names."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from kaa_epr.engine.api import FieldMapping
from kaa_epr.engine.pure.bson_check import (
    DocumentError,
    Element,
    Type,
    check_inside,
    children,
    elements,
)
from kaa_epr.engine.pure.json_text import string_text, value_text
from kaa_epr.engine.pure.limits import ENTRY_BYTES, FIELD_BYTES, MAX_DOCUMENT
from kaa_epr.engine.pure.metadata_diff import DoesNotFit, MetadataDiff

_NUMBERS: Final = {
    Type.INT32: struct.Struct("<i"),
    Type.INT64: struct.Struct("<q"),
    Type.DOUBLE: struct.Struct("<d"),
}


@dataclass(frozen=True)
class Entry:
    """An endpoint's metadata as JSON text, by field, in stored order."""

    endpoint_id: str
    fields: dict[str, bytes]
    """Key -> its ``"key":value`` in the JSON text."""
    app_version: str | None
    version: int | None

    @cached_property
    def json(self) -> bytes:
        """All metadata."""
        return _object(self.fields.values())

    @property
    def etag(self) -> str | None:
        """The version in quotes; None for a document without one."""
        return None if self.version is None else f'"{self.version}"'

    @cached_property
    def size(self) -> int:
        """Bytes this entry is charged in the cache: texts twice (whole and by field), and its objects."""
        texts = len(self.endpoint_id) + len(self.app_version or "")
        return ENTRY_BYTES + texts + 3 * len(self.json) + FIELD_BYTES * len(self.fields)

    @property
    def fingerprint(self) -> int:
        """A hash of all that answers are made of."""
        return hash((self.endpoint_id, self.json, self.app_version, self.version))

    @property
    def keys(self) -> tuple[str, ...]:
        """The metadata keys, in stored order."""
        return tuple(self.fields)

    def amended(self, diff: MetadataDiff, version: int) -> Entry:
        """The entry after a change that left its endpoint at ``version`` (rule 12). Raises DoesNotFit."""
        if not diff.app_version and self.app_version:
            raise DoesNotFit
        old = {key: member[len(_name(key)) :].decode() for key, member in self.fields.items()}
        values = diff.carried_out(old)
        new = Entry(
            endpoint_id=self.endpoint_id,
            fields={key: _name(key) + value.encode() for key, value in values.items()},
            app_version=diff.app_version or self.app_version,
            version=version,
        )
        if len(new.json) > MAX_DOCUMENT:
            raise DoesNotFit
        return new

    def project(self, include: Collection[str]) -> bytes:
        """The named fields that exist, in stored order; all of them when none is named."""
        if not include:
            return self.json
        wanted = frozenset(include)
        return _object(text for key, text in self.fields.items() if key in wanted)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The mark of a deleted endpoint, with its version if it has one."""

    version: int | None


def split(batch: bytes) -> Iterator[bytes]:
    """The documents of a batch, cut by their length prefixes; DocumentError when these are impossible."""
    pos = 0
    while pos < len(batch):
        length = int.from_bytes(batch[pos : pos + 4], "little", signed=True)
        if length < 5 or pos + length > len(batch):
            raise DocumentError("malformed BSON")
        yield batch[pos : pos + length]
        pos += length


def id_of(document: bytes, mapping: FieldMapping) -> str | None:
    """The endpoint ID of a document, as far as the document can be read; None when it has none.

    Of two, the first counts: it is the one that MongoDB finds the document by.
    """
    try:
        for element in elements(document):
            if element.name == mapping.id:
                return element.text if element.is_text else None
    except DocumentError:
        return None
    return None


def from_bson(document: bytes, endpoint_id: str, mapping: FieldMapping) -> Entry | Tombstone:
    """What a stored document is; raises DocumentError when it is unusable.

    Fields that are not mapped are ignored, but what is not BSON in them makes the document unusable.
    """
    if len(document) > MAX_DOCUMENT:
        raise DocumentError("too large")
    fields: dict[str, Element] = {}
    for element in elements(document):
        check_inside(element, level=1)
        fields[element.name] = element
    deleted_at = fields.get(mapping.deleted_at)
    if deleted_at is not None and not deleted_at.is_null:
        return Tombstone(_version_if_any(fields.get(mapping.version)))
    return Entry(
        endpoint_id=endpoint_id,
        fields=_metadata(fields.get(mapping.metadata)),
        app_version=_app_version(fields.get(mapping.application_version)),
        version=version_of(fields.get(mapping.version)),
    )


def _name(key: str) -> bytes:
    """What stands before the value in a member of an object."""
    return f"{string_text(key)}:".encode()


def _object(texts: Iterable[bytes]) -> bytes:
    return b"{" + b",".join(texts) + b"}"


def _metadata(stored: Element | None) -> dict[str, bytes]:
    """Key -> ``"key":value``; a key stored twice has its last value at its first place, as in a dict."""
    if stored is None or stored.is_null:
        return {}
    if stored.kind is Type.ARRAY:
        values = dict(_array_item(item) for item in children(stored))
    elif stored.kind is Type.DOCUMENT:
        values = {item.name: item for item in children(stored)}
    else:
        raise DocumentError("the metadata is neither a document nor an array")
    return {key: _name(key) + value_text(value).encode() for key, value in values.items()}


def _array_item(item: Element) -> tuple[str, Element | None]:
    """One ``{key, value}`` of the metadata array; what else it holds is ignored."""
    parts = {part.name: part for part in children(item)} if item.kind is Type.DOCUMENT else {}
    key = parts.get("key")
    if key is None or not key.is_text:
        raise DocumentError("a metadata element is not a document with a string key")
    return key.text, parts.get("value")


def _app_version(stored: Element | None) -> str | None:
    if stored is None or stored.is_null:
        return None
    if not stored.is_text:
        raise DocumentError("the application version is not a string")
    return stored.text


def _version_if_any(stored: Element | None) -> int | None:
    """Deleted is deleted, whatever the version looks like."""
    try:
        return version_of(stored)
    except DocumentError:
        return None


def version_of(stored: Element | None) -> int | None:
    """The version, if there is one; raises DocumentError for what is no integer of 64 bits."""
    if stored is None or stored.is_null:
        return None
    number = _NUMBERS.get(stored.kind)
    value = number.unpack(stored.raw)[0] if number else None
    if isinstance(value, float) and value.is_integer() and -(2.0**63) <= value < 2.0**63:
        value = int(value)
    if not isinstance(value, int):
        raise DocumentError("the version is not an integer")
    return value
