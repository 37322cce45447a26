"""JSON Patch (RFC 6902) over JSON Pointer (RFC 6901), strict: all of a patch applies, or nothing does.

``parse`` refuses what no document could make valid (status 400); ``apply_patch`` raises ``PatchConflict``
where the document does not fit (409). The document given is never changed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Final

from kaa_epr.refusals import Invalid, PatchConflict, TooLarge

MAX_OPERATIONS: Final = 10_000
"""In one patch; ``remove`` in a long array takes time proportional to its length."""
MAX_COPIED: Final = 4 * 1024 * 1024
"""Values and characters that the ``copy`` operations of a patch may add: each may double the document."""

_WITH_VALUE: Final = frozenset({"add", "replace", "test"})
_WITH_FROM: Final = frozenset({"move", "copy"})
_OPERATIONS: Final = _WITH_VALUE | _WITH_FROM | {"remove"}
_BAD_ESCAPE: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_MAX_INDEX_DIGITS: Final = 10

Pointer = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; ``value`` for add, replace and test, ``source`` for move and copy."""

    op: str
    path: Pointer
    value: Any = None
    source: Pointer = ()


def parse(patch: Any) -> tuple[Operation, ...]:
    """The operations of a parsed patch document. Raises ``Invalid``."""
    if not isinstance(patch, list):
        raise Invalid("patch", "must be an array of operations")
    if len(patch) > MAX_OPERATIONS:
        raise Invalid("patch", f"more than {MAX_OPERATIONS} operations")
    return tuple(_operation(item, f"patch[{index}]") for index, item in enumerate(patch))


def _operation(item: Any, where: str) -> Operation:
    if not isinstance(item, Mapping):
        raise Invalid(where, "must be an object")
    op = item.get("op")
    if not isinstance(op, str) or op not in _OPERATIONS:
        raise Invalid(f"{where}.op", "must be one of add, remove, replace, move, copy, test")
    path = _pointer(item, "path", where)
    if op in _WITH_VALUE:
        if "value" not in item:
            raise Invalid(f"{where}.value", "is missing")
        return Operation(op, path, item["value"])
    if op == "remove":
        return Operation(op, path)
    source = _pointer(item, "from", where)
    if op == "move" and len(source) < len(path) and path[: len(source)] == source:
        raise Invalid(f"{where}.from", "a value cannot be moved into itself")
    return Operation(op, path, source=source)


def _pointer(item: Mapping[str, Any], name: str, where: str) -> Pointer:
    text = item.get(name)
    if not isinstance(text, str):
        raise Invalid(f"{where}.{name}", "must be a string (a JSON Pointer)")
    if text and not text.startswith("/"):
        raise Invalid(f"{where}.{name}", "a JSON Pointer is empty or begins with /")
    if _BAD_ESCAPE.search(text):
        raise Invalid(f"{where}.{name}", "~ must be written ~0, and / inside a name ~1")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def apply_patch(document: Any, operations: Sequence[Operation]) -> Any:
    """What the operations make of ``document``. Raises ``PatchConflict``, or ``TooLarge``."""
    working = _Document(copy.deepcopy(document))
    for index, operation in enumerate(operations):
        try:
            working.apply(operation)
        except _Misfit as misfit:
            raise PatchConflict(index, str(misfit)) from None
    return working.root


class _Misfit(Exception):
    """The document is not as an operation needs it."""


class _Document:
    """The copy that a patch is worked on."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._copied = 0

    def apply(self, operation: Operation) -> None:
        match operation.op:
            case "add":
                self._add(operation.path, copy.deepcopy(operation.value))
            case "remove":
                self._remove(operation.path)
            case "replace":
                self._replace(operation.path, copy.deepcopy(operation.value))
            case "move":
                self._move(operation.source, operation.path)
            case "copy":
                self._add(operation.path, self._copy_of(self._get(operation.source)))
            case _:
                if not equal(self._get(operation.path), operation.value):
                    raise _Misfit("the test failed")

    def _get(self, path: Pointer) -> Any:
        value = self.root
        for part in path:
            if isinstance(value, dict):
                if part not in value:
                    raise _Misfit("no such location")
                value = value[part]
            elif isinstance(value, list):
                value = value[_index(part, len(value) - 1)]
            else:
                raise _Misfit("no such location")
        return value

    def _add(self, path: Pointer, value: Any) -> None:
        if not path:
            self.root = value
            return
        parent, last = self._get(path[:-1]), path[-1]
        if isinstance(parent, dict):
            parent[last] = value
        elif isinstance(parent, list):
            parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
        else:
            raise _Misfit("no such location")

    def _remove(self, path: Pointer) -> Any:
        value = self._get(path)
        if not path:
            self.root = None
            return value
        parent, last = self._get(path[:-1]), path[-1]
        del parent[last if isinstance(parent, dict) else int(last)]
        return value

    def _replace(self, path: Pointer, value: Any) -> None:
        self._get(path)
        if not path:
            self.root = value
            return
        parent, last = self._get(path[:-1]), path[-1]
        parent[last if isinstance(parent, dict) else int(last)] = value

    def _move(self, source: Pointer, path: Pointer) -> None:
        if source == path:
            self._get(source)
            return
        self._add(path, self._remove(source))

    def _copy_of(self, value: Any) -> Any:
        self._copied += _weight(value)
        if self._copied > MAX_COPIED:
            raise TooLarge("patch", "its copy operations add too much")
        return copy.deepcopy(value)


def _index(part: str, last: int) -> int:
    if not _INDEX.fullmatch(part) or len(part) > _MAX_INDEX_DIGITS or int(part) > last:
        raise _Misfit("no such array element")
    return int(part)


def _weight(value: Any) -> int:
    """Values and characters in ``value``."""
    if isinstance(value, str):
        return 1 + len(value)
    if isinstance(value, dict):
        return 1 + sum(len(key) + _weight(below) for key, below in value.items())
    if isinstance(value, list):
        return 1 + sum(map(_weight, value))
    return 1


def equal(left: Any, right: Any) -> bool:
    """RFC 6902 section 4.6: numbers by value, objects without regard to order, booleans are no numbers."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Real) and isinstance(right, Real):
        return bool(left == right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return type(left) is type(right) and bool(left == right)
