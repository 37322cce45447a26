"""Metadata while they are changed: bytes as they stand, taken apart only where an operation goes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from kaa_epr.engine.pure.bson_check import Type
from kaa_epr.engine.pure.limits import MAX_DEPTH
from kaa_epr.register.decide.pure.patch.scan import scan
from kaa_epr.register.decide.pure.patch.work import (
    BYTES,
    CONTAINER,
    ELEMENT,
    MEMBER,
    NO_ELEMENT,
    NO_LOCATION,
    NODE,
    OPEN,
    TOO_DEEP,
    Meter,
    Misfit,
    Wrong,
    of_moved,
)

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_CONTAINERS: Final = frozenset({int(Type.DOCUMENT), int(Type.ARRAY)})

Steps = tuple[tuple[str, int], ...]
"""Names along a pointer, and units for each step."""
Leaf = tuple[int, bytes]
"""Type and bytes of a value that is neither array nor object."""


class Container:
    """An array or object: its bytes, if nothing in it has changed, and what is in it, if it was opened."""

    __slots__ = ("body", "content", "height", "kind", "raw")

    def __init__(self, kind: int, raw: bytes | None, height: int | None = None) -> None:
        self.kind = kind
        self.raw = raw
        self.height = height
        """Arrays and objects that are inside each other, itself included, once that was measured."""
        self.content: dict[str, Node] | list[Node] | None = None
        self.body = 0
        """Bytes of names and values: of a member 2 more, of an element 2 and the digits of its index."""

    @property
    def size(self) -> int:
        """Bytes of the value as it would be stored."""
        if self.raw is not None:
            return len(self.raw)
        digits = digits_of(len(self.content or ())) if self.kind == Type.ARRAY else 0
        return 5 + self.body + digits

    def open(self, meter: Meter) -> dict[str, Node] | list[Node]:
        """Takes it apart, if it was not yet."""
        if self.content is None:
            assert self.raw is not None
            self.content = self._members(meter) if self.kind == Type.DOCUMENT else self._elements(meter)
        return self.content

    def _members(self, meter: Meter) -> dict[str, Node]:
        assert self.raw is not None
        raw, left = self.raw, meter.left
        members: dict[str, Node] = {}
        body = 0
        for kind, name_at, start, end in scan(raw, 0, len(raw)):
            length = start - 1 - name_at
            left -= MEMBER + length // BYTES + (CONTAINER if kind in _CONTAINERS else 0)
            if left < 0:
                meter.exhaust()
            name = raw[name_at : start - 1].decode()
            node = node_of(kind, raw[start:end])
            if name in members:
                body -= 2 + length + size_of(members[name])
            body += 2 + length + end - start
            members[name] = node
        meter.left, self.body = left, body
        return members

    def _elements(self, meter: Meter) -> list[Node]:
        assert self.raw is not None
        raw, left = self.raw, meter.left
        elements: list[Node] = []
        body = 0
        for kind, _, start, end in scan(raw, 0, len(raw)):
            left -= ELEMENT + (CONTAINER if kind in _CONTAINERS else 0)
            if left < 0:
                meter.exhaust()
            body += 2 + end - start
            elements.append(node_of(kind, raw[start:end]))
        meter.left, self.body = left, body
        return elements

    def looked_into(self, meter: Meter) -> dict[str, Node] | list[Node]:
        """What is in it, without leaving it taken apart."""
        return self.content if self.content is not None else Container(self.kind, self.raw).open(meter)

    def child(self, name: str, meter: Meter) -> Node:
        """What stands there."""
        content = self.open(meter)
        if isinstance(content, list):
            return content[index(name, len(content))]
        if name not in content:
            raise Misfit(NO_LOCATION)
        return content[name]

    def set(self, name: str, node: Node) -> None:
        """Sets a member of an object, in its place or behind the others."""
        assert isinstance(self.content, dict)
        old = self.content.get(name)
        if old is not None:
            self.body += size_of(node) - size_of(old)
        else:
            self.body += 2 + len(name.encode()) + size_of(node)
        self.content[name] = node

    def replace(self, name: str, node: Node) -> None:
        """Sets what is known to be there."""
        assert self.content is not None
        if isinstance(self.content, dict):
            self.set(name, node)
            return
        at = int(name)
        self.body += size_of(node) - size_of(self.content[at])
        self.content[at] = node

    def insert(self, at: int, node: Node, meter: Meter) -> None:
        """Makes room in an array."""
        assert isinstance(self.content, list)
        meter.charge(of_moved(len(self.content) - at))
        self.body += 2 + size_of(node)
        self.content.insert(at, node)

    def take(self, name: str, meter: Meter) -> Node:
        """Takes out what stands there."""
        node = self.child(name, meter)
        assert self.content is not None
        if isinstance(self.content, dict):
            del self.content[name]
            self.body -= 2 + len(name.encode()) + size_of(node)
        else:
            at = int(name)
            meter.charge(of_moved(len(self.content) - 1 - at))
            del self.content[at]
            self.body -= 2 + size_of(node)
        return node


Node = Leaf | Container


def node_of(kind: int, data: bytes) -> Node:
    """A value as it stands in the document or in the patch."""
    return Container(kind, data) if kind in _CONTAINERS else (kind, data)


def size_of(node: Node) -> int:
    """Bytes of the value as it would be stored."""
    return len(node[1]) if isinstance(node, tuple) else node.size


def index(name: str, end: int) -> int:
    """The index that a name stands for, below ``end``."""
    if not _INDEX.fullmatch(name) or int(name) >= end:
        raise Misfit(NO_ELEMENT)
    return int(name)


def opened(node: Node, meter: Meter) -> Container:
    """A container, taken apart."""
    if isinstance(node, tuple):
        raise Misfit(NO_LOCATION)
    node.open(meter)
    return node


def find(root: Node, steps: Steps, meter: Meter) -> Node:
    """What a pointer leads to."""
    node = root
    for name, units in steps:
        meter.charge(units)
        node = opened(node, meter).child(name, meter)
    return node


def height(node: Node, meter: Meter) -> int:
    """Arrays and objects that are inside each other: 0 for what is neither."""
    if isinstance(node, tuple):
        return 0
    if node.height is None:
        if node.content is None:
            assert node.raw is not None
            node.height = _measured(node.raw, 0, len(node.raw), 0, meter)
        else:
            meter.charge(NODE * len(node.content))
            content = node.content
            below = content.values() if isinstance(content, dict) else content
            node.height = 1 + max((height(each, meter) for each in below), default=0)
    return node.height


def _measured(data: bytes, start: int, end: int, outside: int, meter: Meter) -> int:
    if outside >= MAX_DEPTH:
        raise Wrong(TOO_DEEP)
    highest = 0
    for kind, _, below, after in scan(data, start, end):
        if meter.left < ELEMENT:
            meter.exhaust()
        meter.left -= ELEMENT
        if kind in _CONTAINERS:
            highest = max(highest, _measured(data, below, after, outside + 1, meter))
    return highest + 1


def copied(node: Node, meter: Meter) -> Node:
    """A copy, which shares the bytes of what has not changed."""
    if isinstance(node, tuple):
        return node
    copy = Container(node.kind, node.raw, node.height)
    if node.raw is not None:
        meter.charge(CONTAINER)
        return copy
    content = node.content
    assert content is not None
    meter.charge(OPEN + NODE * len(content))
    if isinstance(content, dict):
        copy.content = {name: copied(below, meter) for name, below in content.items()}
    else:
        copy.content = [copied(below, meter) for below in content]
    copy.body = node.body
    return copy


def digits_of(count: int) -> int:
    """Digits of the indexes below ``count``."""
    digits, start = count, 10
    while start < count:
        digits += count - start
        start *= 10
    return digits


Change = Callable[[Container, str, Meter], Node | None]
"""What happens at the end of a pointer, by the name in the container; gives what it takes out."""


def change(container: Container, steps: Steps, at: int, here: Change, meter: Meter) -> Node | None:
    """Carries a change out behind the steps from ``at`` on. Recurses as deep as values are."""
    name, units = steps[at]
    meter.charge(units)
    if at + 1 < len(steps):
        inner = container.child(name, meter)
        before = size_of(inner)
        inner = opened(inner, meter)
        taken = change(inner, steps, at + 1, here, meter)
        container.body += inner.size - before
    else:
        taken = here(container, name, meter)
    container.raw = None
    container.height = None
    return taken
