"""What may be stored, judged on raw values. Refusals name the field, never a value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kaa_epr.engine.pure.bson_check import Element, Type, children
from kaa_epr.mongo.documents import MAX_ID_LENGTH, MAX_NAME_LENGTH, is_endpoint_id
from kaa_epr.refusals import Invalid, Restricted, TooLarge
from kaa_epr.register.decide.pure.raw import RawValue
from kaa_epr.register.decide.pure.state import Names, size_of
from kaa_epr.register.decide.rules import ANY_APPLICATION, Rules

_TOKEN: Final = re.compile(r"[^+#/.]+")
_REFERENCE: Final = frozenset({"$ref", "$id"})
_UNREADABLE: Final = frozenset({"items", "__iter__"})
"""Names that make BSON's JSON form fail in an object that is read back as a DBRef, as gets print it."""
NO_JSON: Final = "a reference with items or __iter__ has no JSON form"


@dataclass(frozen=True, slots=True)
class Judge:
    """Applies ``Rules``."""

    rules: Rules

    def touched(self, application: str | None, touched: Iterable[str]) -> None:
        """Raises ``Restricted`` for the first key of the settings that may not be changed."""
        changed = set(touched)
        for name in (ANY_APPLICATION, application):
            for key in self.rules.restricted.get(name or "", ()):
                if key in changed:
                    raise Restricted(key)

    def metadata(self, new: Mapping[str, RawValue], changed: Iterable[str]) -> int:
        """New metadata; only the ``changed`` keys are judged one by one. Returns its size in bytes."""
        if len(new) > self.rules.max_keys:
            raise TooLarge("metadata", f"more than {self.rules.max_keys} keys")
        keys = [key for key in changed if key in new]
        for key in keys:
            self._key(key)
            self._depth(f"metadata.{key}", new[key])
        for key in keys:
            path = f"metadata.{key}"
            if "\0" in key:
                raise Invalid(path, "the name holds a NUL character")
            _references(path, new[key].element)
        size = size_of(new)
        if size > self.rules.max_metadata_bytes:
            raise TooLarge(
                "metadata", f"takes {size} bytes, at most {self.rules.max_metadata_bytes} are stored"
            )
        return size

    def value(self, field: str, value: RawValue) -> None:
        """A value by itself. Refusals name ``field``."""
        self._depth(field, value)
        size, most = len(value.data), self.rules.max_metadata_bytes
        if size > most:
            raise TooLarge(field, f"takes {size} bytes, at most {most} are stored")
        try:
            _references(field, value.element)
        except Invalid as error:
            raise Invalid(field, error.reason) from None

    def names(self, new: Names, old: Names) -> None:
        """What an endpoint belongs to; what it belonged to before is not judged again."""
        if new.application != old.application:
            _name("application", new.application)
        if new.app_version != old.app_version:
            _name("appVersion.name", new.app_version)
        if new.token != old.token:
            _name("endpointToken", new.token)
            is_odd = new.token is not None and not _TOKEN.fullmatch(new.token)
            if is_odd and self.rules.plain_tokens:
                raise Invalid("endpointToken", "the characters + # / . are not allowed")

    def _key(self, key: str) -> None:
        rules = self.rules
        if not key:
            raise Invalid("metadata", "a key is empty")
        if len(key) > rules.max_key_length:
            raise Invalid("metadata", f"a key is longer than {rules.max_key_length} characters")
        if rules.key_pattern is not None and not rules.key_pattern.fullmatch(key):
            raise Invalid(f"metadata.{key}", f"the key does not match {rules.key_pattern.pattern}")

    def _depth(self, path: str, value: RawValue) -> None:
        if not _fits(value.element, self.rules.max_depth):
            raise Invalid(path, "nested too deeply")


def endpoint_id(text: str) -> None:
    """Of an endpoint that is made."""
    if not is_endpoint_id(text):
        raise Invalid("endpointId", "only the characters a-z A-Z 0-9 . _ ~ - are allowed, at least one")
    if len(text) > MAX_ID_LENGTH:
        raise Invalid("endpointId", f"longer than {MAX_ID_LENGTH} characters")


def _name(field: str, text: str | None) -> None:
    if text is None:
        return
    if not text:
        raise Invalid(field, "is empty")
    if "\0" in text:
        raise Invalid(field, "holds a NUL character")
    if len(text.encode()) > MAX_NAME_LENGTH:
        raise Invalid(field, f"longer than {MAX_NAME_LENGTH} bytes")


def _fits(value: Element, left: int) -> bool:
    """Whether no more than ``left`` documents and arrays are inside each other. Recurses as deep as that."""
    if value.kind not in (Type.DOCUMENT, Type.ARRAY):
        return True
    return left > 0 and all(_fits(below, left - 1) for below in children(value))


def _references(path: str, value: Element) -> None:
    """Refuses what gets could not print. The depth is known to be bounded."""
    if value.kind is Type.DOCUMENT:
        below = list(children(value))
        names = {item.name for item in below}
        if names >= _REFERENCE and not _UNREADABLE.isdisjoint(names):
            raise Invalid(path, NO_JSON)
        for item in below:
            _references(f"{path}.{item.name}", item)
    elif value.kind is Type.ARRAY:
        for index, item in enumerate(children(value)):
            _references(f"{path}.{index}", item)
