"""An HTTP server inside our own event loop, on a socket of our own, with limits against slow or many clients.

What the management server and the REST server have in common.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kaa_epr.errors import KaaEprError
from kaa_epr.http.asgi import App, Headers
from kaa_epr.http.listening import Listener
from kaa_epr.http.shared import Limits, Shared
from kaa_epr.http.tls import Certificate


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
    """Request line and headers; more is answered 431."""
    request_seconds: float
    """From a request's first byte, or the end of the answer before it, to the end of its answer."""
    backlog: int
    shared: bool = False
    """Several processes listen on the port."""
    cert_file: Path | None = None
    key_file: Path | None = None
    on_refused: Callable[[], None] = lambda: None
    """Called for each connection too many."""
    error_headers: Callable[[], Headers] = list
    """Headers of the answers that the server itself gives."""


class HttpServer:
    """One HTTP server; ``start`` and ``stop`` once each, on the same loop."""

    def __init__(self, app: App, options: Options) -> None:
        self._app = app
        self._options = options
        self._certificate = (
            None
            if options.cert_file is None or options.key_file is None
            else Certificate(options.cert_file, options.key_file)
        )
        self._shared: Shared | None = None
        self._listener: Listener | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """Where this machine reaches it, such as ``http://127.0.0.1:8080``; only after ``start``."""
        if self._url is None:
            raise RuntimeError(f"the {self._options.server} has not been started")
        return self._url

    async def start(self) -> None:
        """Returns once connections are accepted. Raises AddressError, or OSError for certificates."""
        if self._certificate is not None:
            self._certificate.load()
        sock = await _listening_socket(self._options)
        self._url = self._url_of(sock)
        options = self._options
        limits = Limits(options.max_connections, options.max_head_bytes, options.request_seconds)
        self._shared = Shared(
            self._app, limits, options.on_refused, options.error_headers, asyncio.get_running_loop()
        )
        self._listener = Listener(sock, self._shared, self._certificate)

    def reload(self) -> None:
        """Connections from now on have the certificate as it is in its files now.

        Raises OSError (``ssl.SSLError`` is one) for files that cannot be used; then all stays as it was.
        """
        if self._certificate is not None:
            self._certificate.load()

    async def stop(self, seconds: float = 1.0) -> None:
        """Accepts nothing more, answers what has begun for at most ``seconds``, then closes everything."""
        if self._listener is None or self._shared is None:
            return
        self._listener.close()
        self._listener = None
        shared = self._shared
        shared.stopping = True
        for connection in list(shared.connections):
            connection.finish()
        try:
            async with asyncio.timeout(seconds):
                await shared.gone()
        except TimeoutError:
            for connection in list(shared.connections):
                connection.cancel()
            await shared.gone()

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
