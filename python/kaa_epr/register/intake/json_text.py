"""The pure twin of the core's JSON reader: same values, faults and order of judgement. Nothing recurses.

``rust/core/src/change/parse/`` is the other one; ``Reason`` there has the same texts.
"""

from __future__ import annotations

import math
from typing import Any, Final

import bson

from kaa_epr.refusals import Invalid, TooLarge
from kaa_epr.register.intake.api import MAX_VALUE_DEPTH, JsonLimits
from kaa_epr.register.intake.json_scanner import LITERAL_STARTS, NUMBER_STARTS, Scanner
from kaa_epr.register.intake.long_numbers import decided, shortened
from kaa_epr.register.intake.pure_value import PureValue

_QUOTE, _COMMA, _COLON, _OBJECT, _ARRAY = b'",:{['
_STARTS: Final = frozenset(b'"{[') | NUMBER_STARTS | LITERAL_STARTS
_MAX_DIGITS: Final = 19
"""Of an integer that fits 64 bits."""
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
MAX_HARD_NUMBERS: Final = 128
"""Numbers whose first 19 digits do not tell which double is nearest: finding out takes up to 0.3 ms each."""
_TOO_HARD: Final = (
    f"more than {MAX_HARD_NUMBERS} numbers of 20 digits or more close to the middle of two doubles"
)
_REFERENCE: Final = frozenset({"$ref", "$id"})
_METHODS: Final = frozenset({"items", "__iter__"})
"""PyMongo shows the fields of a ``DBRef`` as attributes, and ``bson.json_util`` takes whatever has these for
a container."""


def parse_json(
    text: bytes, field: str, limits: JsonLimits, *, prefix: str | None = None, envelope: int = 0
) -> PureValue:
    """As ``Intake.parse_json``."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(field, f"not UTF-8 (byte {error.start})") from None
    if text.startswith(b"\xef\xbb\xbf"):
        raise Invalid(field, "not JSON: begins with a byte order mark")
    reader = _Reader(Scanner(text, field), field if prefix is None else prefix, limits, envelope)
    return PureValue.of_document(bson.encode({"": reader.document()}))


class _Frame:
    """An array or object that is open."""

    __slots__ = ("container", "count", "doubled", "name")

    def __init__(self, container: dict[str, Any] | list[Any]) -> None:
        self.container = container
        self.count = 0
        """Elements that have begun."""
        self.name = ""
        """Of the member that has begun last."""
        self.doubled = False

    @property
    def part(self) -> str:
        """Of a path: the element that has begun last."""
        return self.name if isinstance(self.container, dict) else str(self.count - 1)

    def take(self, value: Any) -> None:
        """The element that has begun last is ``value``."""
        if isinstance(self.container, list):
            self.container.append(value)
            return
        self.doubled = self.doubled or self.name in self.container
        self.container[self.name] = value


class _Reader:
    """One text, read from left to right."""

    def __init__(self, scanner: Scanner, prefix: str, limits: JsonLimits, envelope: int) -> None:
        self._scanner = scanner
        self._prefix = prefix
        self._envelope = envelope
        self._max_open = min(limits.max_depth, MAX_VALUE_DEPTH) + envelope
        self._max_values = limits.max_values
        self._values = 0
        self._hard_numbers = 0
        self._frames: list[_Frame] = []

    def document(self) -> Any:
        """The value of the whole text."""
        scanner = self._scanner
        if scanner.peek() is None:
            raise Invalid(scanner.field, "empty, which is not JSON: for no value send null")
        root = value = self._value()
        while self._next_element(is_first=self._opened(value)):
            value = self._value()
            self._frames[-1].take(value)
        if scanner.peek() is not None:
            raise Invalid(scanner.field, f"not JSON: more behind the value (byte {scanner.at})")
        return root

    def _opened(self, value: Any) -> bool:
        """Whether the value just begun is an array or object, which is now open."""
        if not isinstance(value, dict | list):
            return False
        self._frames.append(_Frame(value))
        return True

    # --- structure ------------------------------------------------------------------------------------------
    def _next_element(self, *, is_first: bool) -> bool:
        """Ends what ends here, and begins the next element. False: the outermost value is read."""
        scanner = self._scanner
        while self._frames:
            frame = self._frames[-1]
            close = ord("}" if isinstance(frame.container, dict) else "]")
            byte = scanner.peek()
            if byte == close:
                scanner.at += 1
                self._close(frame)
                is_first = False
                continue
            if byte is None or not (is_first or byte == _COMMA):
                raise scanner.syntax()
            scanner.at += not is_first
            if isinstance(frame.container, dict):
                frame.name = self._name()
            frame.count += 1
            return True
        return False

    def _close(self, frame: _Frame) -> None:
        is_value = len(self._frames) > self._envelope
        if isinstance(frame.container, dict):
            if frame.doubled:
                raise self._fault("an object has a name twice", outside=1)
            names = frame.container.keys()
            if is_value and names >= _REFERENCE and not _METHODS.isdisjoint(names):
                raise self._fault("a reference with items or __iter__ has no JSON form", outside=1)
        self._frames.pop()

    def _name(self) -> str:
        """A name and the colon behind it."""
        scanner = self._scanner
        if scanner.peek() != _QUOTE:
            raise scanner.syntax()
        name = scanner.string()
        if not _is_unicode(name):
            raise self._fault("a name holds half a surrogate pair, which UTF-8 cannot", outside=1)
        if "\0" in name:
            raise self._fault("a name holds a NUL character", outside=1)
        if scanner.peek() != _COLON:
            raise scanner.syntax()
        scanner.at += 1
        return name

    # --- values ---------------------------------------------------------------------------------------------
    def _value(self) -> Any:
        """A value; arrays and objects are empty, their elements come next."""
        scanner = self._scanner
        first = scanner.peek()
        if first is None or first not in _STARTS:
            raise scanner.syntax()
        self._values += 1
        if self._values > self._max_values:
            raise TooLarge(scanner.field, f"more than {self._max_values} values")
        if first in (_OBJECT, _ARRAY):
            if len(self._frames) >= self._max_open:
                raise self._fault("nested too deeply")
            scanner.at += 1
            return {} if first == _OBJECT else []
        if first == _QUOTE:
            text = scanner.string()
            if not _is_unicode(text):
                raise self._fault("holds half a surrogate pair, which UTF-8 cannot")
            return text
        return self._number() if first in NUMBER_STARTS else scanner.literal(first)

    def _number(self) -> int | float:
        text, is_double = self._scanner.number()
        if is_double:
            return self._double(text)
        # Python has a bound of its own on digits, and takes longer than a linear time for them.
        if len(text) > _MAX_DIGITS + 1 or not _INT64_MIN <= int(text) <= _INT64_MAX:
            raise self._fault("the integer does not fit into 64 bits")
        return int(text)

    def _double(self, text: bytes) -> float:
        value = decided(text)
        if value is None:
            self._hard_numbers += 1
            if self._hard_numbers > MAX_HARD_NUMBERS:
                raise TooLarge(self._scanner.field, _TOO_HARD)
            value = float(shortened(text))
        if math.isinf(value):
            raise self._fault("a number is beyond the range of a double")
        return value

    def _fault(self, reason: str, outside: int = 0) -> Invalid:
        """A fault of the value that was begun last, or of the array or object that it stands in."""
        place = self._prefix
        for level, frame in enumerate(self._frames[: len(self._frames) - outside]):
            is_item = level == 0 and self._envelope > 0 and isinstance(frame.container, list)
            place += f"[{frame.part}]" if is_item else f".{frame.part}"
        return Invalid((place if self._prefix else place.removeprefix(".")) or self._scanner.field, reason)


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can spell it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
