"""Bytes from compact descriptions, so that megabytes need not lie in files.

A description is a text (UTF-8), a list (one after the other), or an object:

| object | bytes |
|---|---|
| `{"hex": "c080"}` | these |
| `{"times": 3, "of": D, "by": D}` | `of` three times, with `by` in between |
| `{"times": 3, "of": D, "by": D, "numbered": true}` | the same; `#` in texts of `of` is 0, 1, 2 |
| `{"json": value}` | the value as compact JSON, halves of surrogate pairs escaped |
| `{"long": 5}` | Avro's long |
| `{"string": D}` | Avro's string or bytes: its length and it |
"""

from __future__ import annotations

import json
from typing import Any

from tests.property.messages import long

Description = Any
"""As the table above says."""


def made(description: Description, index: int | None = None) -> bytes:
    """The bytes that are described; ``index`` stands for ``#`` in texts."""
    if isinstance(description, str):
        text = description if index is None else description.replace("#", str(index))
        return text.encode()
    if isinstance(description, list):
        return b"".join(made(part, index) for part in description)
    match description:
        case {"hex": digits}:
            return bytes.fromhex(digits)
        case {"times": times, "of": part, **more}:
            by = made(more.get("by", ""), index)
            if more.get("numbered"):
                return by.join(made(part, number) for number in range(times))
            return by.join([made(part, index)] * times)
        case {"json": value}:
            return _json(value)
        case {"long": number}:
            return long(number)
        case {"string": part}:
            raw = made(part, index)
            return long(len(raw)) + raw
        case _:
            raise ValueError(f"not a description: {str(description)[:80]}")


def _json(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text).encode()
