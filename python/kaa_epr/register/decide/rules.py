"""What may be stored: limits, key rules, restricted keys. Refusals name the field, never a value."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kaa_epr.mongo.documents import DocumentInvalid, Endpoint, check_endpoint, metadata_size
from kaa_epr.refusals import Invalid, Restricted, TooLarge

ANY_APPLICATION: Final = "*"
_ANY_ID: Final = "e"
_INDEX_BYTES: Final = 5
"""Digits of an item's place in a large array, which BSON spells out."""
_TOKEN: Final = re.compile(r"[^+#/.]+")


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of one endpoint; sizes in bytes."""

    max_keys: int = 1024
    max_key_length: int = 256
    max_depth: int = 32
    """Levels of nesting in one metadata value."""
    max_metadata_bytes: int = 1024 * 1024
    """Of the stored metadata, as BSON."""
    max_event_bytes: int = 4 * 1024 * 1024
    """Of one event; the NATS server may take less as one payload, see ``within``."""
    key_pattern: re.Pattern[str] | None = None
    restricted: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Application (or ``*``) → keys that nobody may change through the register."""

    def within(self, max_payload: int) -> Rules:
        """These rules for a NATS server that takes ``max_payload`` bytes as one payload."""
        return self if self.max_event_bytes <= max_payload else replace(self, max_event_bytes=max_payload)

    def check_touched(self, application: str | None, touched: Collection[str]) -> None:
        """Raises ``Restricted`` for the first key that may not be changed."""
        for name in (ANY_APPLICATION, application):
            for key in self.restricted.get(name or "", ()):
                if key in touched:
                    raise Restricted(key)

    def check_metadata(self, metadata: Mapping[str, Any]) -> None:
        """What is wrong with metadata by itself, whatever is stored."""
        self.check_keys(metadata, metadata)
        self.check_whole(Endpoint(_ANY_ID, metadata=metadata))

    def check_value(self, field: str, value: Any) -> None:
        """What is wrong with a value, or a part of one, by itself. Refusals name ``field``."""
        _check_depth(field, value, self.max_depth)
        try:
            self.check_whole(Endpoint(_ANY_ID, metadata={"value": value}))
        except Invalid as error:
            raise Invalid(field, error.reason) from None

    def check_keys(self, metadata: Mapping[str, Any], changed: Collection[str]) -> None:
        """Keys and values that are new; what is stored already is not judged again."""
        if len(metadata) > self.max_keys:
            raise TooLarge("metadata", f"more than {self.max_keys} keys")
        for key in changed:
            if key in metadata:
                self._check_key(key)
                _check_depth(f"metadata.{key}", metadata[key], self.max_depth)

    def _check_key(self, key: str) -> None:
        if not key:
            raise Invalid("metadata", "a key is empty")
        if len(key) > self.max_key_length:
            raise Invalid("metadata", f"a key is longer than {self.max_key_length} characters")
        if self.key_pattern is not None and not self.key_pattern.fullmatch(key):
            raise Invalid(f"metadata.{key}", f"the key does not match {self.key_pattern.pattern}")

    def check_whole(self, endpoint: Endpoint) -> None:
        """Everything that MongoDB and readers ask for, and the size of the whole."""
        try:
            check_endpoint(endpoint)
        except DocumentInvalid as error:
            raise _invalid(error) from None
        if endpoint.endpoint_token is not None and not _TOKEN.fullmatch(endpoint.endpoint_token):
            raise Invalid("endpointToken", "the characters + # / . are not allowed")
        self._check_size(endpoint.metadata)

    def check_change(self, metadata: Mapping[str, Any], touched: Collection[str], most: int) -> int:
        """Judges what a change stores: the ``touched`` keys of the new ``metadata``, the size of the whole.

        ``most``: bytes that the document took before, or more. Returns what it takes now, or more: an
        endpoint far from its limit need not be measured each time.
        """
        self.check_keys(metadata, touched)
        stored = {key: metadata[key] for key in touched if key in metadata}
        try:
            most += metadata_size(stored) + _INDEX_BYTES * len(stored)
        except DocumentInvalid as error:
            raise _invalid(error) from None
        return most if most <= self.max_metadata_bytes else self._check_size(metadata)

    def _check_size(self, metadata: Mapping[str, Any]) -> int:
        size = metadata_size(metadata)
        if size > self.max_metadata_bytes:
            raise TooLarge("metadata", f"takes {size} bytes, at most {self.max_metadata_bytes} are stored")
        return size


_PUBLIC: Final = {
    "endpoint_token": "endpointToken",
    "application_version": "appVersion.name",
    "application": "application",
}
"""Names of stored fields as requests have them."""


def _invalid(error: DocumentInvalid) -> Invalid:
    return Invalid(_PUBLIC.get(error.field, error.field), error.reason)


def _check_depth(path: str, value: Any, left: int) -> None:
    if not isinstance(value, Mapping | list):
        return
    if left == 0:
        raise Invalid(path, "nested too deeply")
    for below in value.values() if isinstance(value, Mapping) else value:
        _check_depth(path, below, left - 1)
