"""Payloads as people have them at hand: a file, standard input, hexadecimal or base64 text."""

from __future__ import annotations

import base64
import binascii
import re
import sys
from pathlib import Path
from typing import BinaryIO, Final

from kaa_epr.errors import KaaEprError
from kaa_epr.messages.avro import MAX_DATUM_BYTES

STDIN: Final = "-"
_NOISE: Final = re.compile(r"\\x|0x|[\s:,]", re.IGNORECASE)
_NOT_HEX: Final = re.compile(r"[^0-9a-fA-F]")


class CaptureError(KaaEprError):
    """Input from which no payload can be had."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(source, problem)
        self.source = source
        self.problem = problem

    def message(self) -> str:
        """Name the source and the problem."""
        return f"{self.source}: {self.problem}"


def from_hex(text: str) -> bytes:
    r"""Hexadecimal digits; white space, ``:``, ``,``, ``0x`` and ``\x`` between them do not matter."""
    digits = _NOISE.sub("", text)
    if wrong := _NOT_HEX.search(digits):
        raise CaptureError("hexadecimal text", f"{wrong.group()!r} is not a hexadecimal digit")
    if len(digits) % 2:
        raise CaptureError("hexadecimal text", f"{len(digits)} digits make no whole bytes")
    return _bounded("hexadecimal text", bytes.fromhex(digits))


def from_base64(text: str) -> bytes:
    """Base64 of either alphabet, with or without padding and line breaks."""
    compact = "".join(text.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        data = base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise CaptureError("base64 text", "not base64") from None
    return _bounded("base64 text", data)


def from_file(path: str | Path) -> bytes:
    """The raw bytes of a file, or of standard input for ``-``."""
    if str(path) == STDIN:
        return _read("standard input", sys.stdin.buffer)
    try:
        with Path(path).open("rb") as file:
            return _read(str(path), file)
    except OSError as error:
        raise CaptureError(str(path), error.strerror or type(error).__name__) from error


def _read(source: str, file: BinaryIO) -> bytes:
    return _bounded(source, file.read(MAX_DATUM_BYTES + 1))


def _bounded(source: str, data: bytes) -> bytes:
    if len(data) > MAX_DATUM_BYTES:
        raise CaptureError(source, f"more than {MAX_DATUM_BYTES} bytes, which no NATS server passes on")
    return data
