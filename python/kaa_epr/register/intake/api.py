"""The contract of the intake: what becomes of bytes that clients sent, in the core and in its pure twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

ValueKind = Literal["null", "boolean", "number", "string", "array", "object", "other"]

MAX_VALUE_DEPTH: Final = 97
"""Arrays and objects of a metadata value that are open at a time: MongoDB takes 100 levels from clients, and
the document, the array of metadata and its item are around a value."""


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """How much one JSON text may hold."""

    max_depth: int = 32
    """Arrays and objects of one value that are open at a time; never more than ``MAX_VALUE_DEPTH``."""
    max_values: int = 100_000
    """Values of all kinds, those in others included."""


class Value(Protocol):
    """A value as it will be stored: bytes of BSON, judged when it was made. Immutable.

    Integers of 32 bits are int32, larger ones int64, numbers with a fraction or an exponent doubles.
    """

    @property
    def kind(self) -> ValueKind:
        """What JSON calls it; ``other`` for types that JSON lacks, which no text gives."""

    @property
    def bson(self) -> bytes:
        """A BSON document with this value as its only element, whose name is empty."""

    @property
    def size(self) -> int:
        """Bytes of the value in BSON, without type and name."""

    @property
    def count(self) -> int:
        """Members of an object or elements of an array, found without making them into objects; else 0."""

    def python(self) -> Any:
        """New plain objects, as ``json.loads`` gives them. Raises ValueError for types that JSON lacks."""

    def text(self) -> str:
        """Compact JSON text as gets print it. Raises ValueError where ``bson.json_util`` fails."""

    def items(self) -> Sequence[tuple[str, Value]]:
        """Members of an object, in order. Raises ValueError for other kinds, as the next ones do."""

    def get(self, name: str) -> Value | None:
        """The first member of this name."""

    def elements(self) -> Sequence[Value]:
        """Elements of an array, in order."""


class Intake(Protocol):
    """Reads what clients sent; the first fault from left to right is told."""

    def parse_json(
        self, text: bytes, field: str, limits: JsonLimits, *, prefix: str | None = None, envelope: int = 0
    ) -> Value:
        """The value of JSON text (RFC 8259), in time proportional to its length.

        Stricter than the RFC asks for: UTF-8 without a byte order mark, a name once in an object, integers
        within 64 bits, other numbers within a double, no half surrogate pairs, no NUL in names.

        Raises ``Invalid`` or ``TooLarge``: naming ``field`` where the text is at fault; where a value is,
        ``prefix`` (``field`` if it is None) and the path to it: ``metadata.a.0.b``, ``patch[3].value``.

        ``envelope``: levels around the values, which count for no value's depth; objects in them are not
        stored, so they may look like references that have no JSON form.
        """

    def value_of(self, document: bytes) -> Value:
        """The value of a BSON document's first element. Raises ValueError for what is no BSON, or empty."""
