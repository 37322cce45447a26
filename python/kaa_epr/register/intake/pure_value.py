"""The pure twin of the core's values: bytes of BSON, read when asked."""

from __future__ import annotations

from typing import Any, Final

import bson

from kaa_epr.engine.pure.bson_check import DocumentError, Element, Type, check_inside, children, elements
from kaa_epr.engine.pure.json_text import value_text
from kaa_epr.register.intake.api import ValueKind

_KINDS: Final[dict[Type, ValueKind]] = {
    Type.NULL: "null",
    Type.UNDEFINED: "null",
    Type.BOOLEAN: "boolean",
    Type.INT32: "number",
    Type.INT64: "number",
    Type.DOUBLE: "number",
    Type.STRING: "string",
    Type.SYMBOL: "string",
    Type.ARRAY: "array",
    Type.DOCUMENT: "object",
}
_HEAD: Final = 6
"""Bytes before the value in a document of one element without a name."""


class PureValue:
    """As ``Value``."""

    __slots__ = ("_element",)

    def __init__(self, element: Element) -> None:
        self._element = element

    @classmethod
    def of_document(cls, document: bytes) -> PureValue:
        """The first element of a BSON document. Raises ValueError."""
        try:
            element = next(elements(document), None)
            if element is None:
                raise ValueError("the document is empty")
            check_inside(element, 0)
        except DocumentError as error:
            raise ValueError(error.reason) from None
        return cls(element)

    @property
    def kind(self) -> ValueKind:
        """See ``Value``."""
        return _KINDS.get(self._element.kind, "other")

    @property
    def bson(self) -> bytes:
        """See ``Value``."""
        body = bytes([self._element.kind, 0]) + self._element.raw
        return (len(body) + 5).to_bytes(4, "little") + body + b"\0"

    @property
    def size(self) -> int:
        """See ``Value``."""
        return self._element.end - self._element.start

    @property
    def count(self) -> int:
        """See ``Value``."""
        if self._element.kind not in (Type.ARRAY, Type.DOCUMENT):
            return 0
        return sum(1 for _ in children(self._element))

    def python(self) -> Any:
        """See ``Value``."""
        return _plain(self._element)

    def text(self) -> str:
        """See ``Value``."""
        try:
            return value_text(self._element)
        except DocumentError as error:
            raise ValueError(error.reason) from None

    def items(self) -> list[tuple[str, PureValue]]:
        """See ``Value``."""
        if self._element.kind is not Type.DOCUMENT:
            raise ValueError("the value is not an object")
        return [(child.name, PureValue(child)) for child in children(self._element)]

    def get(self, name: str) -> PureValue | None:
        """See ``Value``."""
        return next((value for found, value in self.items() if found == name), None)

    def elements(self) -> list[PureValue]:
        """See ``Value``."""
        if self._element.kind is not Type.ARRAY:
            raise ValueError("the value is not an array")
        return [PureValue(child) for child in children(self._element)]


def _plain(element: Element) -> Any:
    """Recurses as deeply as values are nested, which was bounded when they were made."""
    if element.kind is Type.DOCUMENT:
        return {child.name: _plain(child) for child in children(element)}
    if element.kind is Type.ARRAY:
        return [_plain(child) for child in children(element)]
    if element.kind not in _KINDS:
        raise ValueError("the value is of a type that JSON lacks")
    if element.is_text:
        return element.text
    body = bytes([element.kind, 0]) + element.raw
    return bson.decode((len(body) + 5).to_bytes(4, "little") + body + b"\0")[""]
