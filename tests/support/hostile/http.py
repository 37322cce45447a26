"""HTTP/1.1 as no client library would write it: bytes out, and whatever comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

SECONDS: Final = 30.0
"""For one exchange, on a busy machine too."""
CLOSED: Final = 0
"""In place of a status: the connection was closed unanswered."""


class Answer(NamedTuple):
    """One response; header names in lower case, the last of several of a name."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def text(self) -> str:
        """The body, for people and comparisons."""
        return self.body.decode("utf-8", "backslashreplace")


async def exchange(url: str, request: bytes, *, head: bool = False) -> Answer:
    """Writes ``request`` on a connection of its own and reads the first final response.

    ``head``: a response to HEAD, which has no body.
    """
    address = urlsplit(url)
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**20)
        try:
            writer.write(request)
            return await _answer(reader, head=head)
        except (ConnectionError, asyncio.IncompleteReadError):
            # Servers that have refused a request need not read the rest of it.
            return Answer(CLOSED)
        finally:
            writer.transport.abort()


async def _answer(reader: asyncio.StreamReader, *, head: bool) -> Answer:
    status = 100
    lines: list[str] = []
    while 100 <= status < 200:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        status = int(lines[0].split(" ")[1])
    pairs = [line.partition(":") for line in lines[1:]]
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return Answer(status, headers, b"" if head else await _body(reader, status, headers))


async def _body(reader: asyncio.StreamReader, status: int, headers: Mapping[str, str]) -> bytes:
    if status in (204, 304):
        return b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = bytearray()
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        return bytes(body)
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return await reader.read()
