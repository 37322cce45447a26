"""A stored document taken apart for changing: fields with their bytes, and what of them can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from kaa_epr.engine.pure.bson_check import (
    DocumentError,
    Element,
    Type,
    check_element,
    check_inside,
    children,
    frames,
)
from kaa_epr.engine.pure.entry import version_of as version_in
from kaa_epr.engine.pure.limits import MAX_DOCUMENT
from kaa_epr.mongo.conditional import CLAIM, OUTBOX
from kaa_epr.register.decide.pure import raw
from kaa_epr.register.decide.pure.raw import RawValue

NAMES: Final = ("application", "application_version", "endpoint_token")
DATES: Final = ("created_at", "metadata_updated_at", "app_version_registered_at")
FIELDS: Final = ("deleted_at", *NAMES, "metadata", *DATES, "registration")
"""What describes an endpoint, in the order of statements."""
OWN: Final = ("_id", "version", "deleted_at", OUTBOX, CLAIM)
"""What a tombstone keeps."""


@dataclass(frozen=True, slots=True)
class StoredField:
    """A top-level element; ``name`` has bytes that are not UTF-8 as ``surrogateescape`` makes them."""

    name: str
    value: RawValue
    sound: bool = True
    """Whether readers can read through it."""

    @property
    def is_null(self) -> bool:
        """Null, and the deprecated undefined."""
        return self.value.kind in (Type.NULL, Type.UNDEFINED)


@dataclass(frozen=True, slots=True)
class Stored:
    """What there is. Of a repeated field the last counts, at the place of the first."""

    fields: Mapping[str, StoredField] = field(default_factory=dict)
    size: int = 0

    @property
    def exists(self) -> bool:
        """Whether there is a document at all, be it a tombstone."""
        return bool(self.fields)

    @property
    def problem(self) -> str | None:
        """What is wrong with a field, wherever it stands."""
        return next((_UNSOUND for each in self.fields.values() if not each.sound), None)

    @property
    def has_broken_claim(self) -> bool:
        """Whether what stands in the place of a claim is no document."""
        claim = self.fields.get(CLAIM)
        return claim is not None and claim.value.kind != Type.DOCUMENT

    def present(self, name: str) -> StoredField | None:
        """The field, unless it is null."""
        found = self.fields.get(name)
        return None if found is None or found.is_null else found

    def text(self, name: str) -> str | None:
        """A string that can be read."""
        found = self.fields.get(name)
        return _text(found.value) if found is not None and found.sound else None

    def date(self, name: str) -> int | None:
        """Unix milliseconds."""
        found = self.fields.get(name)
        if found is None or found.value.kind != Type.DATE:
            return None
        return int.from_bytes(found.value.data, "little", signed=True)


_UNSOUND: Final = "a field is not valid BSON"


def read(document: bytes) -> Stored:
    """Raises DocumentError where not even the fields can be told apart."""
    fields: dict[str, StoredField] = {}
    for name, element in _top(document):
        fields[name] = StoredField(name, RawValue(element.kind, element.raw), _is_sound(name, element))
    return Stored(fields, len(document))


def _top(document: bytes) -> Iterator[tuple[str, Element]]:
    if len(document) > MAX_DOCUMENT:
        raise DocumentError("too large")
    return frames(document)


def _is_sound(name: str, element: Element) -> bool:
    try:
        name.encode()
        check_element(element)
        check_inside(element, level=1)
    except (DocumentError, UnicodeEncodeError):
        return False
    return True


def _text(value: RawValue) -> str | None:
    return value.element.text if value.element.is_text else None


def version_of(stored: Stored) -> int | None:
    """The version, if there is one. Raises DocumentError."""
    found = stored.present("version")
    return None if found is None else version_in(found.value.element)


def metadata_of(stored: Stored) -> dict[str, RawValue]:
    """Key to value; a key stored twice has its last value at its first place. Raises DocumentError."""
    found = stored.present("metadata")
    if found is None:
        return {}
    if not found.sound:
        raise DocumentError(_UNSOUND)
    element = found.value.element
    if element.kind is Type.DOCUMENT:
        return {item.name: RawValue(item.kind, item.raw) for item in children(element)}
    if element.kind is not Type.ARRAY:
        raise DocumentError("the metadata is neither a document nor an array")
    return dict(_item(item) for item in children(element))


def _item(item: Element) -> tuple[str, RawValue]:
    parts = {part.name: part for part in children(item)} if item.kind is Type.DOCUMENT else {}
    key, value = parts.get("key"), parts.get("value")
    if key is None or not key.is_text:
        raise DocumentError("a metadata element is not a document with a string key")
    return key.text, raw.NULL if value is None else RawValue(value.kind, value.raw)
