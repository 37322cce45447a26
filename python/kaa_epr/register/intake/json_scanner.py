"""Tokens of JSON text, found by regular expressions without backtracking: each byte is looked at once."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from kaa_epr.refusals import Invalid

_BLANKS: Final = re.compile(rb"[ \t\n\r]*+")
_CONTENT: Final = re.compile(rb'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+')
"""Of a string, up to its closing quote or its first fault."""
_DIGITS: Final = re.compile(rb"[0-9]++")
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_MINUS: Final = ord("-")
_LITERALS: Final[dict[int, tuple[bytes, Any]]] = {
    ord("t"): (b"true", True),
    ord("f"): (b"false", False),
    ord("n"): (b"null", None),
}
NUMBER_STARTS: Final = frozenset(b"-0123456789")
LITERAL_STARTS: Final = frozenset(b"tfnNI")


class Scanner:
    """A text and a place in it. Raises ``Invalid`` naming ``field`` where no JSON text goes on like that."""

    def __init__(self, text: bytes, field: str) -> None:
        self.text = text
        self.at = 0
        self.field = field

    def peek(self) -> int | None:
        """The next byte that is not blank."""
        self.at = self._end(_BLANKS, self.at)
        return self.text[self.at] if self.at < len(self.text) else None

    def syntax(self) -> Invalid:
        """No JSON text has what stands here."""
        is_end = self.at >= len(self.text)
        return Invalid(self.field, "not JSON: ends early" if is_end else f"not JSON (byte {self.at})")

    def literal(self, first: int) -> Any:
        """``true``, ``false`` or ``null``, its first byte being here."""
        if self.text.startswith((b"NaN", b"Infinity"), self.at):
            raise self._constant()
        word, value = _LITERALS.get(first, (b"", None))
        for byte in word:
            if self.at >= len(self.text) or self.text[self.at] != byte:
                raise self.syntax()
            self.at += 1
        if not word:
            raise self.syntax()
        return value

    def string(self) -> str:
        """What stands between quotes, half surrogates and all. The opening quote is here."""
        start = self.at
        self.at = self._end(_CONTENT, start + 1)
        if not self._is(b'"'):
            self._to_fault_of_string()
            raise self.syntax()
        self.at += 1
        text = self.text[start : self.at]
        if b"\\" not in text:
            return text[1:-1].decode("utf-8")
        content: str = json.loads(text)
        return content

    def _to_fault_of_string(self) -> None:
        """Goes on within an escape to the byte that does not belong there."""
        if not self._is(b"\\"):
            return
        self.at += 1
        if self._is(b"u"):
            self.at += 1
            while self.at < len(self.text) and self.text[self.at] in _HEX:
                self.at += 1

    def number(self) -> tuple[bytes, bool]:
        """A number, a minus or a digit being here; and whether it has a fraction or an exponent."""
        start = self.at
        self.at += self.text[start] == _MINUS
        if self.at > start and self.text.startswith(b"Infinity", self.at):
            raise self._constant()
        if self._is(b"0"):
            self.at += 1
        else:
            self._digits()
        last_digit = self.at
        if self._is(b"."):
            self.at += 1
            self._digits()
        if self._is(b"eE"):
            self.at += 1
            self.at += self._is(b"+-")
            self._digits()
        return self.text[start : self.at], self.at > last_digit

    def _digits(self) -> None:
        """One digit or more."""
        end = self._end(_DIGITS, self.at)
        if end == self.at:
            raise self.syntax()
        self.at = end

    def _is(self, any_of: bytes) -> bool:
        """Whether one of these bytes is here."""
        return self.at < len(self.text) and self.text[self.at] in any_of

    def _constant(self) -> Invalid:
        return Invalid(self.field, "not JSON: NaN and Infinity have no JSON form")

    def _end(self, pattern: re.Pattern[bytes], start: int) -> int:
        """Where a match at ``start`` ends, which is there if nothing matches."""
        match = pattern.match(self.text, start)
        return start if match is None else match.end()
