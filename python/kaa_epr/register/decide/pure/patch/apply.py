"""The operations, one by one, on metadata as one object; and what is stored of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from kaa_epr.engine.pure.bson_check import Type
from kaa_epr.refusals import Invalid
from kaa_epr.register.decide.pure import raw
from kaa_epr.register.decide.pure.patch.equal import equal
from kaa_epr.register.decide.pure.patch.node import (
    Change,
    Container,
    Node,
    change,
    copied,
    digits_of,
    find,
    height,
    index,
    node_of,
    opened,
    size_of,
)
from kaa_epr.register.decide.pure.patch.operations import Operation, Pointer
from kaa_epr.register.decide.pure.patch.work import (
    BYTES,
    MEMBER,
    NODE,
    NUL,
    OPERATION,
    TOO_DEEP,
    WRITTEN,
    Beyond,
    Halt,
    Meter,
    Misfit,
    Wrong,
    refusal,
)
from kaa_epr.register.decide.pure.raw import RawValue
from kaa_epr.register.decide.rules import Rules


def patched(
    metadata: Mapping[str, RawValue], operations: Sequence[Operation], rules: Rules, meter: Meter
) -> dict[str, RawValue]:
    """The new metadata; values that no operation went into have their bytes.

    Raises ``PatchConflict``, ``TooLarge`` or ``Invalid``.
    """
    try:
        working = _Working(metadata, rules, meter)
    except Halt as halt:
        raise refusal(halt, "patch") from None
    for number, operation in enumerate(operations):
        try:
            working.take(operation)
        except Halt as halt:
            raise refusal(halt, f"patch[{number}]", number) from None
    return working.made()


class _Working:
    """The metadata that a patch is worked on."""

    def __init__(self, metadata: Mapping[str, RawValue], rules: Rules, meter: Meter) -> None:
        self._max_depth = rules.max_depth
        self._max_bytes = rules.max_metadata_bytes
        self._meter = meter
        root = Container(Type.DOCUMENT, None)
        root.content = {}
        for key, value in metadata.items():
            meter.charge(MEMBER + len(key.encode()) // BYTES)
            root.set(key, node_of(value.kind, value.data))
        self._root: Node = root

    def take(self, operation: Operation) -> None:
        """Carries one out. Raises ``Halt``."""
        self._meter.charge(OPERATION)
        before = self._size
        self._change_by(operation)
        after, most = self._size, self._max_bytes
        if after > before and after > most:
            raise Beyond(f"makes the metadata take {after} bytes, at most {most} are stored")

    def _change_by(self, operation: Operation) -> None:
        path, source, value = operation.path, operation.source, operation.value
        match operation.op:
            case "add":
                self._put(path, _of(value), _insert)
            case "replace":
                self._put(path, _of(value), _replace)
            case "remove":
                self._remove(path)
            case "test":
                if not equal(self._find(path), _of(value), self._meter):
                    raise Misfit("the test failed")
            case "move" if source is not None and source.text == path.text:
                self._find(path)
            case "move":
                assert source is not None
                self._put(path, self._remove(source), _insert)
            case _:
                assert source is not None
                self._copy(source, path)

    def _find(self, path: Pointer) -> Node:
        return find(self._root, path.steps, self._meter)

    def _copy(self, source: Pointer, path: Pointer) -> None:
        if path.steps and not source.steps:
            self._refuse_nuls()
        found = self._find(source)
        # Measured once, and not for each of its copies.
        height(found, self._meter)
        self._put(path, copied(found, self._meter), _insert)

    def _put(self, path: Pointer, node: Node, how: _How) -> None:
        """Puts a value where ``path`` leads to."""
        high = height(node, self._meter)
        if not path.steps:
            if high > self._max_depth + 1:
                raise Wrong(TOO_DEEP)
            if not isinstance(node, tuple) and node.kind == Type.DOCUMENT:
                node.open(self._meter)
            self._root = node
            return
        outside = len(path.steps) - 1
        new = _New(node, fits=outside + high <= self._max_depth, is_item=outside == 0)
        self._change(path, partial(how, new))

    def _remove(self, path: Pointer) -> Node:
        if not path.steps:
            root, self._root = self._root, (int(Type.NULL), b"")
            return root
        taken = self._change(path, Container.take)
        assert taken is not None
        return taken

    def _change(self, path: Pointer, here: Change) -> Node | None:
        return change(opened(self._root, self._meter), path.steps, 0, here, self._meter)

    def _refuse_nuls(self) -> None:
        """Keys of metadata may hold a NUL, names inside of values not."""
        root = self._root
        if isinstance(root, tuple) or not isinstance(root.content, dict):
            return
        self._meter.charge(NODE * len(root.content))
        if any("\0" in name for name in root.content):
            raise Wrong(NUL)

    @property
    def _size(self) -> int:
        """Bytes as ``size_of`` in ``pure/state.py`` counts them."""
        root = self._root
        if not isinstance(root, tuple) and isinstance(root.content, dict):
            count = len(root.content)
            return 12 + root.body + 22 * count + digits_of(count)
        return 7 + size_of(root)

    def made(self) -> dict[str, RawValue]:
        """As it is stored. Raises ``Invalid`` or ``TooLarge``."""
        root = self._root
        if isinstance(root, tuple) or not isinstance(root.content, dict):
            raise Invalid("patch", "what it makes of the metadata is not an object")
        try:
            return {name: _stored(node, self._meter) for name, node in root.content.items()}
        except Halt as halt:
            raise refusal(halt, "patch") from None


class _New:
    """What comes to stand at the end of a pointer."""

    __slots__ = ("_fits", "_node", "is_item")

    def __init__(self, node: Node, *, fits: bool, is_item: bool) -> None:
        self._node = node
        self._fits = fits
        self.is_item = is_item
        """Whether it is one of the metadata, whose keys may hold a NUL."""

    def judged(self) -> Node:
        """The value, once the place is known to be there."""
        if not self._fits:
            raise Wrong(TOO_DEEP)
        return self._node


def _insert(new: _New, container: Container, name: str, meter: Meter) -> None:
    content = container.open(meter)
    if isinstance(content, list):
        at = len(content) if name == "-" else index(name, len(content) + 1)
        container.insert(at, new.judged(), meter)
        return
    if "\0" in name and not new.is_item:
        raise Wrong(NUL)
    container.set(name, new.judged())


def _replace(new: _New, container: Container, name: str, meter: Meter) -> None:
    container.child(name, meter)
    container.replace(name, new.judged())


def _of(value: RawValue | None) -> Node:
    assert value is not None
    return node_of(value.kind, value.data)


def _stored(node: Node, meter: Meter) -> RawValue:
    """The bytes that stand somewhere if nothing in it has changed. Recurses as deep as it is."""
    if isinstance(node, tuple):
        return RawValue(*node)
    if node.raw is not None:
        return RawValue(node.kind, node.raw)
    content = node.content
    assert content is not None
    meter.charge(WRITTEN * len(content))
    if isinstance(content, dict):
        return raw.nested((name, _stored(below, meter)) for name, below in content.items())
    return raw.array(_stored(below, meter) for below in content)


_How = Callable[[_New, Container, str, Meter], None]
