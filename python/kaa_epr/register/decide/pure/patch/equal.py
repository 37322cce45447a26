"""RFC 6902, section 4.6: numbers by value, objects without regard to order, booleans are no numbers."""

from __future__ import annotations

import struct
from typing import Any, Final

from kaa_epr.engine.pure.bson_check import Type
from kaa_epr.register.decide.pure.patch.node import Leaf, Node
from kaa_epr.register.decide.pure.patch.work import BYTES, COMPARED, Meter

_NUMBERS: Final[dict[int, struct.Struct]] = {
    Type.INT32: struct.Struct("<i"),
    Type.INT64: struct.Struct("<q"),
    Type.DOUBLE: struct.Struct("<d"),
}
_KNOWN_AS: Final[dict[int, int]] = {
    Type.INT64: Type.INT32,
    Type.DOUBLE: Type.INT32,
    Type.UNDEFINED: Type.NULL,
    Type.SYMBOL: Type.STRING,
}
"""One type for those that compare as one; null and strings have deprecated forms."""


def equal(left: Node, right: Node, meter: Meter) -> bool:
    """Whether two values are equal. Recurses as deep as the less deep one is."""
    meter.charge(COMPARED)
    if _kind(left) != _kind(right):
        return False
    if isinstance(left, tuple) or isinstance(right, tuple):
        assert isinstance(left, tuple)
        assert isinstance(right, tuple)
        return _equal_plain(left, right, meter)
    one, other = left.looked_into(meter), right.looked_into(meter)
    if len(one) != len(other):
        return False
    if isinstance(one, dict):
        assert isinstance(other, dict)
        return all(name in other and equal(node, other[name], meter) for name, node in one.items())
    assert isinstance(other, list)
    return all(equal(node, same, meter) for node, same in zip(one, other, strict=True))


def _kind(node: Node) -> int:
    kind = node[0] if isinstance(node, tuple) else node.kind
    return _KNOWN_AS.get(kind, kind)


def _equal_plain(left: Leaf, right: Leaf, meter: Meter) -> bool:
    if left[0] in _NUMBERS:
        return bool(_number(left) == _number(right))
    if len(left[1]) != len(right[1]):
        return False
    meter.charge(len(left[1]) // BYTES)
    return left[1] == right[1]


def _number(value: Leaf) -> Any:
    return _NUMBERS[value[0]].unpack(value[1])[0]
