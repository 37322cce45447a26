"""What of values and exceptions may stand in a log line."""

from __future__ import annotations

import ssl
from typing import Any

import pymongo.errors
import pytest
from nats.errors import NoServersError

from kaa_epr.config.problems import ConfigError, Problem
from kaa_epr.redaction import MAX_ITEMS, MAX_TEXT, describe, redact, trace


class _Opaque:
    def __repr__(self) -> str:
        return "<at mongodb://u:hunter2@h>"


@pytest.mark.parametrize(
    ("name", "value", "redacted"),
    [
        ("a", 1, 1),
        ("a", None, None),
        ("a", True, True),
        ("a", b"hunter2", "<7 bytes>"),
        ("password", "hunter2", "***"),
        ("nats_token", 5, "***"),
        ("password", None, None),
        ("a", ["nats://u:hunter2@h", {"seed": "hunter2", "b": 2}], ["nats://***@h", {"seed": "***", "b": 2}]),
        ("a", _Opaque(), "<at mongodb://***@h>"),
        ("a", ValueError("hunter2"), "ValueError"),
        ("a", "x" * (MAX_TEXT + 1), "x" * MAX_TEXT + "…"),
    ],
)
def test_values(name: str, value: Any, redacted: Any) -> None:
    assert redact(value, name) == redacted


def test_collections_are_bounded() -> None:
    assert len(redact(list(range(1000)))) == MAX_ITEMS
    nested: list[Any] = []
    nested.append(nested)
    assert len(repr(redact(nested))) < 100


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("hunter2"), "KeyError"),
        (UnicodeDecodeError("utf-8", b"hunter2", 0, 1, "hunter2"), "UnicodeDecodeError"),
        (OSError(111, "Connection refused"), "ConnectionRefusedError: [Errno 111] Connection refused"),
        (TimeoutError(), "TimeoutError"),
        (ssl.SSLError("bad certificate"), "ssl.SSLError: ('bad certificate',)"),
        (NoServersError(), "nats.errors.NoServersError: nats: no servers available for connection"),
        (
            pymongo.errors.ServerSelectionTimeoutError("h:27017: refused"),
            "pymongo.errors.ServerSelectionTimeoutError: h:27017: refused",
        ),
        (
            pymongo.errors.DuplicateKeyError("dup key: { metadata.value: 'hunter2' }"),
            "pymongo.errors.DuplicateKeyError",
        ),
        (
            ConfigError([Problem("a.b", None, None, "expected c")]),
            "kaa_epr.config.problems.ConfigError: The configuration is refused:\n  a.b: expected c",
        ),
    ],
)
def test_exceptions(error: BaseException, text: str) -> None:
    described = describe(error)
    assert "hunter2" not in described
    assert described.startswith(text.partition(": (")[0])
    if "(" not in text:
        assert described == text


def test_a_ring_of_causes_ends() -> None:
    first, second = OSError("first"), OSError("second")
    first.__cause__, second.__cause__ = second, first
    assert trace(first) == "OSError: second\nthen\nOSError: first"


def test_a_suppressed_context_stays_out() -> None:
    error = OSError("shown")
    error.__context__ = OSError("hidden")
    error.__suppress_context__ = True
    assert trace(error) == "OSError: shown"
