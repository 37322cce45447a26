"""What of a value or an exception may stand in a log line.

Logs never hold metadata values or secrets. Our own events are written so; what comes from elsewhere (values
of unknown types, exceptions of libraries) passes through here.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from kaa_epr.config.masking import MASK, mask_userinfo
from kaa_epr.errors import KaaEprError

MAX_TEXT: Final = 512
"""Characters of one value; correlation IDs and subjects of hostile requests may be much longer."""
MAX_ITEMS: Final = 32
_MAX_DEPTH: Final = 4
_MAX_FRAMES: Final = 30
_MAX_CAUSES: Final = 8
_SECRET_NAME: Final = re.compile(r"password|secret|token|seed|credential|authorization", re.IGNORECASE)

_TELLING: Final[tuple[type[BaseException], ...]] = (
    KaaEprError,
    OSError,
    ImportError,
    AttributeError,
    NameError,
    TypeError,
    RuntimeError,
    AssertionError,
)
"""Exceptions whose texts speak of code and addresses. Others (ValueError, KeyError, what decoders raise)
quote the value they dislike, which may be metadata: of these only the type is logged."""
_TELLING_MODULES: Final = ("nats.", "ssl", "asyncio.")
_TELLING_PYMONGO: Final = frozenset(
    {"AutoReconnect", "ConfigurationError", "ConnectionFailure", "NetworkTimeout", "NotPrimaryError"}
    | {"ServerSelectionTimeoutError", "WaitQueueTimeoutError"}
)
"""PyMongo's other errors quote documents (a duplicate key, a refused write)."""


def redact(value: Any, name: str = "", depth: int = 0) -> Any:
    """``value`` as plain data for a log line: bounded, no userinfo, masked where ``name`` says secret."""
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_NAME.search(name):
        return MASK
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, BaseException):
        return describe(value)
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        items = islice(value.items(), MAX_ITEMS)
        return {str(key): redact(below, str(key), depth + 1) for key, below in items}
    if depth < _MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [redact(below, name, depth + 1) for below in islice(value, MAX_ITEMS)]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return _text(repr(value))


def _text(text: str) -> str:
    masked = mask_userinfo(text[: 4 * MAX_TEXT])
    return masked if len(masked) <= MAX_TEXT else f"{masked[:MAX_TEXT]}…"


def describe(error: BaseException) -> str:
    """Type and, where it cannot quote a value, text of an exception."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    text = _text(str(error)) if _is_telling(error) else ""
    return f"{name}: {text}" if text else name


def _is_telling(error: BaseException) -> bool:
    if isinstance(error, UnicodeError):
        return False
    module = type(error).__module__
    if isinstance(error, _TELLING) or module.startswith(_TELLING_MODULES):
        return True
    return module == "pymongo.errors" and type(error).__name__ in _TELLING_PYMONGO


def trace(error: BaseException) -> str:
    """The stack of an exception and of its causes, innermost cause first, with redacted texts."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and len(chain) < _MAX_CAUSES and current not in chain:
        chain.append(current)
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
    parts = []
    for link in reversed(chain):
        frames = traceback.extract_tb(link.__traceback__)[-_MAX_FRAMES:]
        stack = "".join(f'  File "{f.filename}", line {f.lineno}, in {f.name}\n' for f in frames)
        parts.append(f"{stack}{describe(link)}")
    return "\nthen\n".join(parts)
