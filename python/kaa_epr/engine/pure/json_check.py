"""Whether a text is JSON as gets print it: what an event brings is checked before an answer repeats it."""

from __future__ import annotations

import re
from typing import Final

from kaa_epr.engine.pure.limits import MAX_EVENT_DEPTH

_STRING: Final = r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"'
_NUMBER: Final = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_SCALAR: Final = re.compile(f"{_STRING}|{_NUMBER}|true|false|null")
_NAME: Final = re.compile(f"{_STRING}:")
_CLOSERS: Final = {"{": "}", "[": "]"}


def is_compact_json(text: str) -> bool:
    """Whether ``text`` is one JSON value (RFC 8259) without whitespace outside strings.

    At most MAX_EVENT_DEPTH objects and arrays may be open at a time. Escapes may be half a surrogate pair.
    """
    closers: list[str] = []
    pos: int | None = 0
    while pos is not None:
        closer = _CLOSERS.get(text[pos : pos + 1])
        if closer is None:
            pos = _end(_SCALAR.match(text, pos))
        elif len(closers) == MAX_EVENT_DEPTH:
            return False
        else:
            closers.append(closer)
            pos += 1
            if not text.startswith(closer, pos):
                pos = _item(text, pos, closer)
                continue
        if pos is None:
            break
        while closers and text.startswith(closers[-1], pos):
            closers.pop()
            pos += 1
        if not closers:
            return pos == len(text)
        pos = _item(text, pos + 1, closers[-1]) if text.startswith(",", pos) else None
    return False


def _item(text: str, pos: int, closer: str) -> int | None:
    """Where the value of the array item or object member at ``pos`` begins; None when there is none."""
    return pos if closer == "]" else _end(_NAME.match(text, pos))


def _end(match: re.Match[str] | None) -> int | None:
    return None if match is None else match.end()
