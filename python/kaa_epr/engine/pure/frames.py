"""NATS on the wire: header blocks that come in, ``PUB`` and ``HPUB`` frames that go out."""

from __future__ import annotations

from typing import Final

from kaa_epr.engine.pure.limits import MAX_HEADER_VALUE

TRACEPARENT: Final = b"traceparent"
"""W3C trace context, repeated on the answer."""

VERSION: Final = b"kaa-epr-version"
"""Version of the endpoint after the change that an event tells of; marks the event as the register's own."""

BASE: Final = b"kaa-epr-base"
"""On a metadata updated event: the version that its diff is exact against."""

WRITER: Final = b"kaa-epr-writer"
"""Who published an event or heartbeat."""

SEQ: Final = b"kaa-epr-seq"
"""Number of an event; on a heartbeat, of the last one."""

LEAVING: Final = b"kaa-epr-leaving"
"""On a heartbeat: the writer stops."""

_WHITESPACE: Final = b" \t\n\x0c\r"


def header(block: bytes, name: bytes) -> bytes | None:
    """The trimmed value of the first header called ``name`` (lower case given, any case found).

    None when it is absent, empty, longer than MAX_HEADER_VALUE or not printable ASCII: such a value is never
    copied into a frame. ``block`` starts with the line ``NATS/1.0``.
    """
    for line in block.split(b"\n")[1:-1]:
        key, colon, value = line.partition(b":")
        if colon and key.lower() == name:
            value = value.strip(_WHITESPACE)
            plain = all(0x20 <= byte < 0x7F for byte in value)
            return value if plain and 0 < len(value) <= MAX_HEADER_VALUE else None
    return None


def header_block(traceparent: bytes | None) -> bytes:
    """The header block of an answer: empty without a trace context."""
    return b"" if traceparent is None else b"NATS/1.0\r\ntraceparent: " + traceparent + b"\r\n\r\n"


def publish(subject: bytes, headers: bytes, payload: bytes) -> bytes:
    """One ``PUB`` frame, or ``HPUB`` when there are headers."""
    total = len(headers) + len(payload)
    if headers:
        return b"HPUB %b %d %d\r\n%b%b\r\n" % (subject, len(headers), total, headers, payload)
    return b"PUB %b %d\r\n%b\r\n" % (subject, total, payload)
