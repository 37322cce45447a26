"""uvicorn inside our own event loop, on a socket of our own, with limits against slow or many clients.

What the management server and the REST server have in common.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from kaa_epr.errors import KaaEprError

App: TypeAlias = ASGIApp
"""What is served."""

KEEP_ALIVE_SECONDS: Final = 5


class AddressError(KaaEprError):
    """A server cannot listen where it should."""

    def __init__(self, server: str, settings: str, host: str, port: int, reason: str) -> None:
        super().__init__(server, settings, host, port, reason)
        self.server = server
        self.settings = settings
        self.host = host
        self.port = port
        self.reason = reason

    def message(self) -> str:
        """Address and reason, and which settings decide."""
        return (
            f"The {self.server} cannot listen on {self.host}, port {self.port}: {self.reason}. "
            f"Set {self.settings}.host and {self.settings}.port (0: any free port)."
        )


@dataclass(frozen=True, slots=True)
class Options:
    """Where a server listens, and its limits."""

    server: str
    """Its name in messages."""
    settings: str
    """The group of settings that decides."""
    host: str
    port: int
    max_connections: int
    """At once; a further one is closed unanswered."""
    max_head_bytes: int
    """Request line and headers; more is answered 400."""
    request_seconds: float
    """From a connection's beginning, or the end of its last answer, to the end of the next answer."""
    backlog: int
    shared: bool = False
    """Several processes listen on the port."""
    cert_file: Path | None = None
    key_file: Path | None = None
    on_refused: Callable[[], None] = lambda: None
    """Called for each connection too many."""


def _protocol(options: Options) -> type[H11Protocol]:
    """Uvicorn's HTTP/1.1 with a bound on connections and on the time that each request may take.

    uvicorn itself times only the idle time between requests: without this, a client that never ends its
    request, or never reads the answer, would stay for ever.
    """

    class Protocol(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > options.max_connections:
                options.on_refused()
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
            self._deadline = self.loop.call_later(options.request_seconds, self.transport.abort)

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


class HttpServer:
    """One HTTP server; ``start`` and ``stop`` once each, on the same loop."""

    def __init__(self, app: App, options: Options) -> None:
        self._app = app
        self._options = options
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """Where this machine reaches it, such as ``http://127.0.0.1:8080``; only after ``start``."""
        if self._url is None:
            raise RuntimeError(f"the {self._options.server} has not been started")
        return self._url

    async def start(self) -> None:
        """Returns once connections are accepted. Raises AddressError, or OSError for certificates."""
        sock = await _listening_socket(self._options)
        self._url = self._url_of(sock)
        self._server = _Server(self._config())
        self._task = asyncio.create_task(self._server.serve([sock]), name=self._options.server)
        listening = asyncio.create_task(self._server.is_listening.wait())
        await asyncio.wait({self._task, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            listening.cancel()
            await self._task

    async def stop(self, seconds: float = 1.0) -> None:
        """Accepts nothing more, answers what has begun for at most ``seconds``, then closes everything."""
        if self._server is None or self._task is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(seconds))
        self._server.should_exit = True
        await self._task
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    def _config(self) -> uvicorn.Config:
        options = self._options
        return uvicorn.Config(
            self._app,
            http=_protocol(options),
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=options.backlog,
            h11_max_incomplete_event_size=options.max_head_bytes,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            ssl_certfile=None if options.cert_file is None else str(options.cert_file),
            ssl_keyfile=None if options.key_file is None else str(options.key_file),
        )

    def _url_of(self, sock: socket.socket) -> str:
        scheme = "http" if self._options.cert_file is None else "https"
        host, port = sock.getsockname()[:2]
        if ":" in host:
            return f"{scheme}://[{'::1' if host == '::' else host}]:{port}"
        return f"{scheme}://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104 compared


async def _listening_socket(options: Options) -> socket.socket:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(options, error.strerror or str(error)) from error
    except UnicodeError as error:  # what the IDNA codec makes of `a..b`
        raise _cannot_listen(options, "not a host name") from error
    try:
        # A restart must not wait until connections of the process before have timed out.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if options.shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(options.backlog)
    except OSError as error:
        sock.close()
        raise _cannot_listen(options, error.strerror or str(error)) from error
    return sock


def _cannot_listen(options: Options, reason: str) -> AddressError:
    return AddressError(options.server, options.settings, options.host, options.port, reason)
