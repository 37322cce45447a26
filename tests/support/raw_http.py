"""A client of HTTP/1.1 that sends whatever bytes it is told to."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

SECONDS = 20.0
"""What anything may take on a busy machine."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def stays(self) -> bool:
        return self.headers.get("connection") != "close"


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, method: str = "GET") -> Answer:
        """The next answer, interim ones included."""
        async with asyncio.timeout(SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *lines = head.split("\r\n")[:-2]
            status = int(line.split(" ")[1])
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            if method == "HEAD" or status in (100, 204, 304):
                return Answer(status, headers, b"")
            if "transfer-encoding" in headers:
                return Answer(status, headers, await self._chunks())
            if "content-length" in headers:
                return Answer(status, headers, await self.reader.readexactly(int(headers["content-length"])))
            return Answer(status, headers, await self.reader.read())

    async def _chunks(self) -> bytes:
        data = b""
        while size := int(await self.reader.readline(), 16):
            data += await self.reader.readexactly(size)
            assert await self.reader.readline() == b"\r\n"
        assert await self.reader.readline() == b"\r\n"
        return data

    async def ended(self) -> bytes:
        """What comes until the server ends the connection, in whichever way."""
        data = b""
        async with asyncio.timeout(SECONDS):
            try:
                while piece := await self.reader.read(65536):
                    data += piece
            except ConnectionResetError:
                return data
        return data


def reset(client: Client) -> None:
    """The connection ends at once, and the server's side hears of it."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


class Reachable(Protocol):
    """What listens somewhere."""

    @property
    def url(self) -> str | None: ...


@asynccontextmanager
async def connected(server: Reachable, **options: Any) -> AsyncIterator[Client]:
    assert server.url is not None
    at = urlsplit(server.url)
    client = Client(*await asyncio.open_connection(at.hostname, at.port, **options))
    try:
        yield client
    finally:
        client.writer.transport.abort()
