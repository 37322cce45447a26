"""Connections accepted, so that each counts from its first packet on, TLS handshakes included."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import partial
from typing import Final

from kaa_epr.http.connection import LINGER_SECONDS, Connection
from kaa_epr.http.shared import Shared
from kaa_epr.http.tls import Certificate
from kaa_epr.log import Repeats, get_logger

_log = get_logger(__name__)

_AT_ONCE: Final = 64
"""Connections accepted before others have their turn."""
_PAUSE_SECONDS: Final = 0.5
"""After the process or the machine was out of file descriptors or memory."""


class Listener:
    """Accepts from a listening socket until it is closed."""

    def __init__(self, sock: socket.socket, shared: Shared, certificate: Certificate | None) -> None:
        self._sock = sock
        self._shared = shared
        self._certificate = certificate
        self._loop = shared.loop
        self._pause: asyncio.TimerHandle | None = None
        self._connecting: set[asyncio.Task[None]] = set()
        self._repeats = Repeats()
        sock.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Accepts nothing more; whoever is not connected yet is not going to be."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for task in self._connecting:
            task.cancel()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._repeats.warning(_log, "no connection can be accepted", error=error.strerror)
                self._loop.remove_reader(self._sock)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._listen)
                return
            self._take(sock)

    def _take(self, sock: socket.socket) -> None:
        shared = self._shared
        if len(shared.connections) >= shared.limits.max_connections:
            shared.on_refused()
            sock.close()
            return
        sock.setblocking(False)
        connection = Connection(shared)
        shared.connections.add(connection)
        task = self._loop.create_task(self._connect(connection, sock))
        self._connecting.add(task)
        task.add_done_callback(partial(self._connected, connection, sock))

    def _connected(self, connection: Connection, sock: socket.socket, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        if not connection.connected:
            sock.close()
            self._shared.forget(connection)

    async def _connect(self, connection: Connection, sock: socket.socket) -> None:
        # What a client does wrong in a handshake, or that it goes away in it, is its own affair.
        with contextlib.suppress(OSError):
            if self._certificate is None:
                await self._loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await self._loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=self._certificate.context,
                    ssl_handshake_timeout=self._shared.limits.request_seconds,
                    ssl_shutdown_timeout=LINGER_SECONDS,
                )
