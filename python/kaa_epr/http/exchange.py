"""One request and its answer, as an ASGI application sees them."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from kaa_epr.http import wire
from kaa_epr.http.asgi import END_WITH_CLIENT, App, ClientGone, Message, Scope
from kaa_epr.http.head import Head
from kaa_epr.log import get_logger
from kaa_epr.refusals import Refusal

if TYPE_CHECKING:
    from kaa_epr.http.connection import Connection

_log = get_logger(__name__)

_ASGI: Final = {"version": "3.0", "spec_version": "2.4"}
_NO_BODY: Final = frozenset({204, 304})
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Exchange:
    """Begun with a head, over when the application returns."""

    __slots__ = (
        "_arrived",
        "_begun",
        "_chunked",
        "_connection",
        "_continue",
        "_done",
        "_failure",
        "_has_body",
        "_head",
        "_held",
        "_only_reads",
        "_start",
        "_stays",
        "_told",
    )

    def __init__(self, connection: Connection, head: Head) -> None:
        self._connection = connection
        self._head = head
        self._continue = head.expects_continue
        self._arrived: asyncio.Future[None] | None = None
        self._failure: Refusal | None = None
        self._held: list[bytes] = []
        self._only_reads = False
        self._told = False
        self._start: Message | None = None
        self._begun = False
        self._has_body = True
        self._chunked = False
        self._stays = False
        self._done = False

    async def run(self, app: App) -> None:
        """Lets the application answer; whatever it does, the connection goes on or ends."""
        try:
            await app(self._scope(), self._receive, self._send)
            if not self._done:
                raise RuntimeError("the application ended before its answer")
        except ClientGone:
            pass
        except Exception:  # noqa: BLE001 - the outermost boundary of a request: it is answered whatever happens
            _log.exception("an application met a bug")
            self._answer_bug()
        finally:
            connection = self._connection
            if not self._done:
                # Cut short: what was sent must not pass for the whole.
                connection.abort()
            connection.ended(stays=self._stays)

    def wake(self) -> None:
        """Something came, or nothing more will."""
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    @property
    def ends_with_client(self) -> bool:
        """Whether all that is left to be done is for the client: the answer has begun, or is all there is."""
        return self._begun or self._only_reads

    def _end_with_client(self) -> None:
        self._only_reads = True

    def give_up(self, refusal: Refusal) -> bool:
        """Time is up. Whether the application is waiting for the body: it is told why there is none."""
        if self._told or self._arrived is None or self._arrived.done():
            return False
        self._failure = refusal
        self.wake()
        return True

    # --- the request ----------------------------------------------------------------------------------------
    def _scope(self) -> Scope:
        head = self._head
        path = head.path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": head.version,
            "method": head.method,
            "scheme": "https" if self._connection.tls else "http",
            "path": unquote(path) if "%" in path else path,
            "raw_path": head.path,
            "query_string": head.query,
            "root_path": "",
            "headers": head.headers,
            "client": None,
            "server": None,
            "extensions": {END_WITH_CLIENT: self._end_with_client},
        }

    async def _receive(self) -> Message:
        """The next piece of the body; after its end, or without one, that the client has gone."""
        connection = self._connection
        reader = connection.reader
        while not self._told:
            data = self._pull()
            if data or reader.complete:
                self._told = reader.complete
                connection.read_on()
                return {"type": "http.request", "body": data, "more_body": not reader.complete}
            if connection.at_eof:
                break
            if self._continue:
                self._continue = False
                connection.write(_CONTINUE)
            connection.read_on()
            await self._wait()
        while not connection.at_eof and not self._done:
            await self._wait()
        return {"type": "http.disconnect"}

    def _pull(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        try:
            data = self._connection.reader.body()
        except Refusal as refusal:
            self._failure = refusal
            raise
        if data:
            self._continue = False
        if not self._held:
            return data
        held = b"".join((*self._held, data))
        self._held.clear()
        return held

    async def _wait(self) -> None:
        self._arrived = asyncio.get_running_loop().create_future()
        try:
            await self._arrived
        finally:
            self._arrived = None

    # --- the answer -----------------------------------------------------------------------------------------
    async def _send(self, message: Message) -> None:
        connection = self._connection
        if connection.lost:
            raise ClientGone
        if message["type"] == "http.response.start":
            self._start = message
            return
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        data = b"" if self._begun else self._begin(None if more else len(body))
        if self._has_body:
            data += wire.chunk(body, last=not more) if self._chunked else body
        connection.write(data)
        if connection.stuck:
            await connection.drain()
        if not more:
            self._done = True
            self.wake()

    def _begin(self, length: int | None) -> bytes:
        """The head of the answer; ``length``: of a body that is there as a whole."""
        assert self._start is not None
        self._hold_what_came()
        status: int = self._start["status"]
        headers = list(self._start["headers"])
        has_body = status not in _NO_BODY
        self._has_body = has_body and self._head.method != "HEAD"
        self._stays = self._may_stay()
        if has_body and b"content-length" not in dict(headers):
            if length is not None:
                headers.append((b"content-length", b"%d" % length))
            elif self._head.version == "1.1":
                headers.append((b"transfer-encoding", b"chunked"))
                self._chunked = True
            else:
                self._stays = False
        if not self._stays:
            headers.append((b"connection", b"close"))
        data = wire.head(status, headers)
        self._begun = True
        return data

    def _hold_what_came(self) -> None:
        """Reads what is there of a body that the application has not read, to know whether that is all."""
        if self._connection.reader.complete or self._failure is not None:
            return
        try:
            self._held.append(self._connection.reader.body())
        except Refusal as refusal:
            self._failure = refusal

    def _may_stay(self) -> bool:
        if self._continue and not self._connection.reader.complete:
            # Not told to go on, the client may or may not send its body.
            return False
        return self._failure is None and self._connection.may_stay

    def _answer_bug(self) -> None:
        if self._begun:
            return
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        self._connection.write(wire.message(status, status.phrase, self._connection.shared.error_headers()))
        self._done = True
