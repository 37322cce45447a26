"""The NATS protocol as tests need it: cutting a byte stream into items, whole messages told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_WITH_PAYLOAD: Final = {b"MSG", b"HMSG", b"PUB", b"HPUB"}
_WITH_HEADERS: Final = {b"HMSG", b"HPUB"}


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the protocol, with its payload if it has one."""

    verb: bytes
    line: bytes
    """Without its line end."""
    body: bytes
    """Headers and payload, without the line end behind them; empty for lines that have none."""
    raw: bytes
    """As it was on the wire."""

    @property
    def subject(self) -> str:
        """Of a message; empty for anything else."""
        return self.line.split(b" ")[1].decode() if self.verb in _WITH_PAYLOAD else ""

    @property
    def header_size(self) -> int:
        """Bytes of ``body`` that are headers."""
        return int(self.line.split(b" ")[-2]) if self.verb in _WITH_HEADERS else 0

    @property
    def headers(self) -> bytes:
        """The header block, or empty."""
        return self.body[: self.header_size]

    @property
    def payload(self) -> bytes:
        """What follows the headers."""
        return self.body[self.header_size :]


class Cutter:
    """Takes bytes as they come and gives whole items."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Item]:
        """The items that are complete with ``data``."""
        self._buffer += data
        at = 0
        try:
            while (end := self._buffer.find(b"\r\n", at)) >= 0:
                line = bytes(self._buffer[at:end])
                verb = line.partition(b" ")[0].upper()
                after = end + 2
                size = int(line.rpartition(b" ")[2]) + 2 if verb in _WITH_PAYLOAD else 0
                if len(self._buffer) < after + size:
                    return
                body = bytes(self._buffer[after : after + size - 2]) if size else b""
                raw = bytes(self._buffer[at : after + size])
                at = after + size
                yield Item(verb, line, body, raw)
        finally:
            del self._buffer[:at]

    @property
    def incomplete(self) -> bytes:
        """What has come of an item that is not complete."""
        return bytes(self._buffer)


Copies = Callable[[Item], int]
"""How often an item is handed on: 0 drops it, 2 doubles it."""


class Filter:
    """Hands on one direction of one connection item by item."""

    def __init__(self) -> None:
        self._cutter = Cutter()

    def feed(self, data: bytes, copies: Copies) -> bytes:
        """What goes on of ``data`` and what waited before it."""
        return b"".join(item.raw * copies(item) for item in self._cutter.feed(data))
