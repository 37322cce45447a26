"""uvicorn inside our own event loop, with limits against slow, many or hostile clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final, TypeAlias

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from kaa_epr.config.register import RestSettings
from kaa_epr.errors import KaaEprError

App: TypeAlias = ASGIApp
"""What is served."""

_MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers: a key of the longest kind, percent-encoded, and a token; more is answered 400."""
_KEEP_ALIVE_SECONDS: Final = 5
_BACKLOG: Final = 1024


class RestAddressError(KaaEprError):
    """The REST server cannot listen where it should."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(host, port, reason)
        self.host = host
        self.port = port
        self.reason = reason

    def message(self) -> str:
        """Address and reason, and which settings decide."""
        return (
            f"The REST server cannot listen on {self.host}, port {self.port}: {self.reason}. "
            "Set register.rest.host and register.rest.port (0: any free port)."
        )


def _protocol(settings: RestSettings) -> type[H11Protocol]:
    """Uvicorn's HTTP/1.1 with a bound on connections and on the time that each request may take.

    uvicorn itself times only the idle time between requests: without this, a client that never ends its
    request, or never reads the answer, would stay for ever.
    """

    class Protocol(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > settings.max_connections:
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
            self._deadline = self.loop.call_later(settings.request_timeout, self.transport.abort)

    return Protocol


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


class RestServer:
    """``start`` and ``stop`` once each, on the same loop."""

    def __init__(self, app: App, settings: RestSettings, *, shared: bool) -> None:
        """``shared``: several workers listen on the port."""
        self._app = app
        self._settings = settings
        self._shared = shared
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.url: str | None = None
        """Where this machine reaches it, such as ``http://127.0.0.1:8090``; set by ``start``."""

    async def start(self) -> None:
        """Returns once connections are accepted. Raises RestAddressError, or OSError for certificates."""
        sock = await self._listening_socket()
        self.url = self._url_of(sock)
        self._server = _Server(self._config())
        self._task = asyncio.create_task(self._server.serve([sock]), name="REST server")
        listening = asyncio.create_task(self._server.is_listening.wait())
        await asyncio.wait({self._task, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            listening.cancel()
            await self._task

    async def stop(self, seconds: float) -> None:
        """Accepts nothing more, answers what has begun for at most ``seconds``, then closes everything."""
        if self._server is None or self._task is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(seconds))
        self._server.should_exit = True
        await self._task
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    def _config(self) -> uvicorn.Config:
        tls = self._settings.tls
        return uvicorn.Config(
            self._app,
            http=_protocol(self._settings),
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            ssl_certfile=None if tls.cert_file is None else str(tls.cert_file),
            ssl_keyfile=None if tls.key_file is None else str(tls.key_file),
        )

    async def _listening_socket(self) -> socket.socket:
        host, port = self._settings.host, self._settings.port
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = found[0]
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            raise RestAddressError(host, port, error.strerror or str(error)) from error
        try:
            # A restart must not wait until connections of the process before have timed out.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            raise RestAddressError(host, port, error.strerror or str(error)) from error
        return sock

    def _url_of(self, sock: socket.socket) -> str:
        scheme = "http" if self._settings.tls.cert_file is None else "https"
        host, port = sock.getsockname()[:2]
        if ":" in host:
            return f"{scheme}://[{'::1' if host == '::' else host}]:{port}"
        return f"{scheme}://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104 compared
