"""uvicorn inside our own event loop, on a socket of our own, with limits against slow or many clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from kaa_epr.errors import KaaEprError

MAX_CONNECTIONS: Final = 64
"""Connections at once; a further one is closed unanswered. Probes and scrapers need a handful."""
MAX_HEAD_BYTES: Final = 16 * 1024
"""Request line and headers; more is answered 400."""
REQUEST_SECONDS: Final = 10.0
"""From a connection's beginning, or the end of its last answer, to the end of the next answer."""
KEEP_ALIVE_SECONDS: Final = 5
_STOP_SECONDS: Final = 1


class ManagementAddressError(KaaEprError):
    """The management server cannot listen where it should."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(host, port, reason)
        self.host = host
        self.port = port
        self.reason = reason

    def message(self) -> str:
        """Address and reason, and which settings decide."""
        return (
            f"The management server cannot listen on {self.host}, port {self.port}: {self.reason}. "
            "Set management.host and management.port (0: any free port)."
        )


class _Protocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a bound on connections and on the time that each request may take.

    uvicorn itself times only the idle time between requests: without this, a client that never ends its
    request, or never reads the answer, would stay for ever.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._restart_deadline()

    def on_response_complete(self) -> None:
        self._restart_deadline()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _restart_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)


class _Server(uvicorn.Server):
    """Says when it has started, and leaves signals to the process it is a part of."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.is_listening.set()


class ManagementServer:
    """One HTTP server; ``start`` and ``stop`` once each, on the same loop."""

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._url: str | None = None
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where this machine reaches it, such as ``http://127.0.0.1:8080``; only after ``start``."""
        if self._url is None:
            raise RuntimeError("the management server has not been started")
        return self._url

    async def start(self) -> None:
        """Returns once connections are accepted. Raises ManagementAddressError."""
        sock = await _listening_socket(self._host, self._port)
        self._url = _url_of(sock)
        self._server = _Server(_uvicorn_config(self._app))
        self._task = asyncio.create_task(self._server.serve([sock]), name="management server")
        listening = asyncio.create_task(self._server.is_listening.wait())
        await asyncio.wait({self._task, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            listening.cancel()
            await self._task

    async def stop(self) -> None:
        """Answers what has begun, for at most a second, then closes everything."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await self._task
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()


def _uvicorn_config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )


async def _listening_socket(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ManagementAddressError(host, port, error.strerror or str(error)) from error
    except UnicodeError as error:  # what the IDNA codec makes of `a..b`
        raise ManagementAddressError(host, port, "not a host name") from error
    try:
        # A restart must not wait until connections of the process before have timed out.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(MAX_CONNECTIONS)
    except OSError as error:
        sock.close()
        raise ManagementAddressError(host, port, error.strerror or str(error)) from error
    return sock


def _url_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    if ":" in host:
        return f"http://[{'::1' if host == '::' else host}]:{port}"
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104 compared, not bound
