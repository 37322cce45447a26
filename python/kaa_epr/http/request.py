"""A request as applications here see it, whichever ASGI server it came through, and how they answer it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from kaa_epr.http.asgi import END_WITH_CLIENT, Headers, Receive, Scope, Send
from kaa_epr.slices import Slice

PIECE_BYTES: Final = 64 * 1024
"""Of a body that are sent together."""


class Request:
    """Method, path, headers, and a body that is read once."""

    __slots__ = ("_extensions", "_receive", "headers", "method", "path", "query", "scheme")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.scheme: str = scope["scheme"]
        self.path: bytes = scope["raw_path"]
        """As it was sent, percent-encoded."""
        self.query: bytes = scope["query_string"]
        self.headers: Headers = scope["headers"]
        self._receive = receive
        self._extensions: Mapping[str, Any] = scope.get("extensions", {})

    def header(self, name: bytes) -> str | None:
        """A header's value; several of one name are one list (RFC 9110, 5.3)."""
        values = [value for key, value in self.headers if key == name]
        return b", ".join(values).decode("latin-1") if values else None

    def end_with_client(self) -> None:
        """What is done for this request changes nothing, and ends as soon as the client is known to be gone.

        For what takes long and can be cut short; a server that cannot do so lets it go on.
        """
        end = self._extensions.get(END_WITH_CLIENT)
        if end is not None:
            end()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body. Raises ``Gone`` when the client leaves before its end, and what the server refuses."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            more = message.get("more_body", False)
            if body := message.get("body"):
                yield body


class Gone(Exception):
    """The client has left before the end of its request; nobody is there to be told."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: a body as a whole, or in pieces that are made while it is sent."""

    status: HTTPStatus
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    pieces: AsyncIterator[bytes] | None = None
    """What is to be sent in place of ``body``. Each piece is asked for once there is room for it."""

    async def send(self, send: Send) -> None:
        """On its way. Raises ``ClientGone`` when nobody is there any more; then the pieces are closed."""
        if len(self.body) > PIECE_BYTES:
            await self._send_large(send)
            return
        await send({"type": "http.response.start", "status": self.status.value, "headers": self.headers})
        if self.pieces is None:
            await send({"type": "http.response.body", "body": self.body})
            return
        try:
            async for piece in self.pieces:
                await _send_bit_by_bit(send, piece)
        finally:
            if isinstance(self.pieces, AsyncGenerator):
                await self.pieces.aclose()
        await send({"type": "http.response.body"})

    async def _send_large(self, send: Send) -> None:
        """The body bit by bit: the socket, or TLS, takes long for all of it."""
        length = (b"content-length", b"%d" % len(self.body))
        start = {"type": "http.response.start", "status": self.status.value}
        await send({**start, "headers": [*self.headers, length]})
        await _send_bit_by_bit(send, self.body)
        await send({"type": "http.response.body"})


async def _send_bit_by_bit(send: Send, data: bytes) -> None:
    """So that others have the loop in between, however fast the client takes it."""
    work = Slice()
    for begin in range(0, len(data), PIECE_BYTES):
        await work.give_way()
        piece = data[begin : begin + PIECE_BYTES] if len(data) > PIECE_BYTES else data
        await send({"type": "http.response.body", "body": piece, "more_body": True})
