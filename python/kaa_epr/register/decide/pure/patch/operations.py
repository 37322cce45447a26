"""From a value to operations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kaa_epr.engine.pure.bson_check import Type
from kaa_epr.engine.pure.limits import MAX_DEPTH
from kaa_epr.refusals import Invalid
from kaa_epr.register.decide.pure.patch.node import Steps
from kaa_epr.register.decide.pure.patch.scan import scan
from kaa_epr.register.decide.pure.patch.work import BYTES, STEP
from kaa_epr.register.decide.pure.raw import RawValue

MAX_OPERATIONS: Final = 10_000
_WITH_VALUE: Final = frozenset({"add", "replace", "test"})
_WITH_FROM: Final = frozenset({"move", "copy"})
_OPERATIONS: Final = _WITH_VALUE | _WITH_FROM | {"remove"}
_BAD_ESCAPE: Final = re.compile(r"~(?![01])")
_MAX_PARTS: Final = MAX_DEPTH + 8
"""No value is as deep: what is behind these parts is never looked at, and not taken apart."""


class Pointer:
    """A well-formed JSON Pointer (RFC 6901); two that lead to the same are the same text."""

    __slots__ = ("steps", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        parts = text.split("/", _MAX_PARTS)[1:]
        self.steps: Steps = tuple((_name(part), STEP + _length(part) // BYTES) for part in parts)


def _name(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~") if "~" in part else part


def _length(part: str) -> int:
    return len(part) if part.isascii() else len(part.encode())


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; ``value`` for add, replace and test, ``source`` for move and copy."""

    op: str
    path: Pointer
    value: RawValue | None = None
    source: Pointer | None = None


def parse(patch: RawValue) -> tuple[Operation, ...]:
    """The operations that a value describes; further members mean nothing. Raises ``Invalid``."""
    if patch.kind != Type.ARRAY:
        raise Invalid("patch", "must be an array of operations")
    items = [(kind, start, end) for kind, _, start, end in scan(patch.data, 0, len(patch.data))]
    if len(items) > MAX_OPERATIONS:
        raise Invalid("patch", f"more than {MAX_OPERATIONS} operations")
    return tuple(_item(patch.data, *item, index) for index, item in enumerate(items))


def _item(data: bytes, kind: int, start: int, end: int, index: int) -> Operation:
    if kind != Type.DOCUMENT:
        raise Invalid(f"patch[{index}]", "must be an object")
    members = {
        data[name : value - 1]: RawValue(type_, data[value:after])
        for type_, name, value, after in scan(data, start, end)
    }
    return _operation(members, f"patch[{index}]")


def _operation(members: Mapping[bytes, RawValue], where: str) -> Operation:
    op = _text(members, b"op")
    if op not in _OPERATIONS:
        raise Invalid(f"{where}.op", "must be one of add, remove, replace, move, copy, test")
    path = _pointer(members, "path", where)
    if op in _WITH_VALUE:
        if b"value" not in members:
            raise Invalid(f"{where}.value", "is missing")
        return Operation(op, path, members[b"value"])
    if op == "remove":
        return Operation(op, path)
    source = _pointer(members, "from", where)
    if op == "move" and path.text.startswith(f"{source.text}/"):
        raise Invalid(f"{where}.from", "a value cannot be moved into itself")
    return Operation(op, path, source=source)


def _text(members: Mapping[bytes, RawValue], name: bytes) -> str | None:
    found = members.get(name)
    is_text = found is not None and found.kind in (Type.STRING, Type.SYMBOL)
    return found.data[4:-1].decode() if found is not None and is_text else None


def _pointer(members: Mapping[bytes, RawValue], name: str, where: str) -> Pointer:
    text = _text(members, name.encode())
    if text is None:
        raise Invalid(f"{where}.{name}", "must be a string (a JSON Pointer)")
    if text and not text.startswith("/"):
        raise Invalid(f"{where}.{name}", "a JSON Pointer is empty or begins with /")
    if _BAD_ESCAPE.search(text):
        raise Invalid(f"{where}.{name}", "~ must be written ~0, and / inside a name ~1")
    return Pointer(text)
