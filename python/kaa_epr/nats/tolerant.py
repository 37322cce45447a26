"""nats-py's client, made to go on whatever others put into subjects, reply subjects and headers.

nats-server passes them on unread. nats-py's read loop ends, or loses the connection, at what it cannot read:
one message a second would keep a service from ever answering.
"""

from __future__ import annotations

from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

NO_SUBJECT: Final = "*"
"""In the place of what is not UTF-8. A wildcard: refused by whoever would answer there."""
_CRLF: Final = b"\r\n"
_MESSAGES: Final = (b"MSG ", b"HMSG ")
_SPACES: Final = bytes.maketrans(b"\v\f", b"**")
"""White space for nats-py, part of a subject for nats-server."""


class TolerantClient(Client):
    """What cannot be read is handed on as far as it can."""

    def __init__(self) -> None:
        super().__init__()
        self._ps = _TolerantParser(self)

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        """None for a block that is not even the beginning of one."""
        try:
            found: dict[str, str] | None = await super()._process_headers(headers)
        except (UnicodeDecodeError, IndexError):
            return None
        return found

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        """Callbacks know what they subscribed to, so of a subject nothing is lost that matters."""
        built: Any = super()._build_message(sid, _utf8(subject), _utf8(reply), data, headers)
        message: Msg = built
        return message


class _TolerantParser(Parser):
    async def parse(self, data: bytes = b"") -> None:
        """Raises ProtocolError for what is no line of the protocol."""
        self.buf.extend(data)
        while True:
            try:
                await super().parse()
            except ProtocolError:
                if not self._stuck:
                    raise
            if not self._stuck:
                return
            if not self._mend():
                raise ProtocolError("nats: unknown protocol")

    @property
    def _stuck(self) -> bool:
        """At a whole line that nats-py cannot read: it has said so, or waits for more."""
        return bool(self.state == AWAITING_CONTROL_LINE and _CRLF in self.buf)

    def _mend(self) -> bool:
        """Whether the first line is one of a message now, and was not before."""
        end = self.buf.index(_CRLF)
        line = bytes(self.buf[:end])
        mended = line.translate(_SPACES)
        self.buf[:end] = mended
        return line.startswith(_MESSAGES) and mended != line


def _utf8(subject: bytes) -> bytes:
    try:
        subject.decode()
    except UnicodeDecodeError:
        return NO_SUBJECT.encode()
    return subject
