"""Our own writes on the session's connection, and the echo that shows that the server took them.

Not through nats-py's ``publish``: that keeps what it could not send and sends it after a reconnect, perhaps
long after another replica took over and the endpoint was registered anew. What is written here is lost with
its connection, and the outbox sends it again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from kaa_epr.log import get_logger
from kaa_epr.nats import internals
from kaa_epr.nats.options import wait_or
from kaa_epr.nats.publisher import PublishFailed, publication

_log = get_logger(__name__)

ECHO_SECONDS: Final = 2.0
"""Longest time for an echo. A server that takes longer is about to be given up by liveness."""
_DIGITS: Final = 18
"""Of the number of an echo."""


class SessionOutlet:
    """The outlet of whatever session is up; ``attach`` for each new one."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._inbox = ""
        self._sent = 0
        self._replies = bytearray()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._attached = asyncio.Event()

    async def attach(self, client: Client) -> None:
        """Takes the connection of a new session; what waits on the one before fails."""
        self.detach()
        inbox = client.new_inbox()
        await client.subscribe(inbox, cb=self._on_echo)
        self._client, self._inbox = client, inbox
        self._attached.set()

    @property
    def is_attached(self) -> bool:
        """Whether there is a session."""
        return self._attached.is_set()

    async def attached(self, seconds: float) -> None:
        """Until there is a session, at most ``seconds``."""
        if not self._attached.is_set():
            await wait_or(self._attached, seconds)

    def detach(self) -> None:
        """No connection any more; answers that were given go out first."""
        self._write_replies()
        self._client = None
        self._attached.clear()
        waiting, self._waiting = self._waiting, deque()
        for _, future in waiting:
            if not future.done():
                future.set_exception(PublishFailed("the connection is gone"))

    @property
    def up(self) -> bool:
        """Whether writes would go somewhere."""
        return self._client is not None and self._client.is_connected

    @property
    def headers(self) -> bool:
        """Whether the server takes headers. Raises ``PublishFailed`` without a connection."""
        return bool(internals.server_info(self._connected()).get("headers", False))

    @property
    def max_payload(self) -> int | None:
        """Of the connected server."""
        return self._client.max_payload if self._client is not None and self._client.is_connected else None

    def write(self, frames: bytes) -> None:
        """Appends frames to the connection."""
        try:
            internals.transport_of(self._connected()).write(frames)
        except OSError as error:
            raise PublishFailed("the connection is lost") from error

    async def drain(self) -> None:
        """Until there is room to write."""
        try:
            await internals.drain(self._connected())
        except OSError as error:
            raise PublishFailed("the connection is lost") from error

    async def echo(self, frames: bytes = b"") -> None:
        """Writes ``frames``; until the server has handled them and all that was written before."""
        self._sent += 1
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((self._sent, future))
        try:
            self.write(frames + publication(self._inbox, b"%d" % self._sent))
            async with asyncio.timeout(ECHO_SECONDS):
                await future
        except TimeoutError:
            raise PublishFailed("no echo in time") from None
        finally:
            future.cancel()

    async def _on_echo(self, msg: Msg) -> None:
        # Echoes come in the order of their writes; one of them shows that those before it arrived or are lost
        # with an earlier connection.
        if not msg.data.isdigit() or len(msg.data) > _DIGITS:
            # Not ours, but of somebody who may publish anywhere.
            return
        number = int(msg.data)
        while self._waiting and self._waiting[0][0] <= number:
            sent, future = self._waiting.popleft()
            if future.done():
                continue
            if sent == number:
                future.set_result(None)
            else:
                future.set_exception(PublishFailed("the connection was lost meanwhile"))

    async def heartbeat(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        """Publishes a heartbeat of the writer. Raises ConnectionResetError without a connection."""
        try:
            if self.headers:
                self.write(publication(subject, payload, headers))
        except PublishFailed as error:
            raise ConnectionResetError(str(error)) from error

    def reply(self, subject: str, payload: bytes) -> None:
        """Publishes an answer; it follows whatever was written before. Raises ``PublishFailed``.

        Answers of one turn of the loop, as a batch of changes makes them, go out as one write.
        """
        self._connected()
        if not self._replies:
            asyncio.get_running_loop().call_soon(self._write_replies)
        self._replies += publication(subject, payload)

    def _write_replies(self) -> None:
        frames, self._replies = bytes(self._replies), bytearray()
        if not frames:
            return
        try:
            self.write(frames)
        except PublishFailed as error:
            # The clients ask again: there is no guarantee that answers arrive (19/EPMMP).
            _log.info("answers could not be sent", error=str(error))

    def _connected(self) -> Client:
        if self._client is None or not self._client.is_connected:
            raise PublishFailed("not connected")
        return self._client
