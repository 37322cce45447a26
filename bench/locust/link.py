"""A NATS connection for greenlets.

Locust runs its users as greenlets on patched sockets, where nats-py's asyncio has no place; a second event
loop in a real thread would put a thread switch into every latency it measures. What EPMMP needs of NATS is
little: one subscription for the answers, PUB out, MSG in, PONG on PING. The messages are encoded and decoded
by ``kaa_epr.client``.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import gevent
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore

from kaa_epr import schemas
from kaa_epr.client.codec import Answer, Codec, Request, leading_correlation_id
from kaa_epr.messages import subjects
from kaa_epr.messages.avro import AvroError, Datum
from kaa_epr.messages.outgoing import write_datum

READ_SIZE: Final = 256 * 1024
CONNECT_SECONDS: Final = 5.0
REVISION: Final = 3
UPDATE: Final = "epmmp/0019-endpoint-metadata-key-update-"


class LinkLost(Exception):
    """The connection ended while an answer was awaited."""


class NoAnswer(Exception):
    """No answer within the timeout."""


class Link:
    """One connection, shared by all users of a worker process; made when first used and after each loss."""

    def __init__(self, url: str, instance: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 4222)
        self._codec = Codec(REVISION)
        self._replica = f"locust-{os.getpid()}-{os.urandom(4).hex()}"
        self._subject = subjects.metadata_get_request(instance)
        self._update = subjects.targeted(instance, subjects.EPMMP, subjects.KEY_UPDATE_REQUEST)
        self._updated = Datum(schemas.load(f"{UPDATE}response"))
        self._reply = subjects.metadata_get_response(self._replica)
        self._waiting: dict[str, tuple[AsyncResult, Callable[[bytes], Any]]] = {}
        self._writing = BoundedSemaphore(1)
        self._connecting = BoundedSemaphore(1)
        self._socket: socket.socket | None = None
        self._asked = 0

    def get(self, endpoint_id: str, include: tuple[str, ...], timeout: float) -> Answer:
        """One get, one answer. Raises NoAnswer, LinkLost, or OSError when there is no server."""
        correlation, request = self._next(), Request(endpoint_id, include, include_metadata=True)
        payload = self._codec.encode(request, correlation, int(time.time() * 1000), int(timeout * 1000))
        answer: Answer = self._ask(self._subject, correlation, payload, self._codec.decode, timeout)
        return answer

    def update(self, endpoint_id: str, key: str, value: bytes, timeout: float) -> dict[str, Any]:
        """One metadata key update (``value``: JSON) and its answer's fields. Raises as ``get``."""
        correlation = self._next()
        request = {
            "correlationId": correlation,
            "timestamp": int(time.time() * 1000),
            "timeout": int(timeout * 1000),
            "endpointId": endpoint_id,
            "metadataKey": key,
            "metadataValue": value,
        }
        payload = write_datum(f"{UPDATE}request", request)
        answer: dict[str, Any] = self._ask(self._update, correlation, payload, self._updated.decode, timeout)
        return answer

    def _next(self) -> str:
        self._asked += 1
        return f"{self._replica}-{self._asked}"

    def _ask(
        self, subject: str, correlation: str, payload: bytes, decode: Callable[[bytes], Any], timeout: float
    ) -> Any:
        waiting = AsyncResult()
        self._waiting[correlation] = waiting, decode
        try:
            self._publish(subject, payload)
            return waiting.get(timeout=timeout)
        except gevent.Timeout:
            raise NoAnswer(f"no answer within {timeout:g} s") from None
        finally:
            del self._waiting[correlation]

    def _publish(self, subject: str, payload: bytes) -> None:
        connection = self._connected()
        head = f"PUB {subject} {self._reply} {len(payload)}\r\n".encode()
        with self._writing:  # a long message leaves in parts, between which other greenlets run
            connection.sendall(head + payload + b"\r\n")

    def _connected(self) -> socket.socket:
        with self._connecting:
            if self._socket is None:
                connection = socket.create_connection(self._address, CONNECT_SECONDS)
                connection.settimeout(None)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                hello = {"verbose": False, "pedantic": False, "name": "kaa-epr-locust", "lang": "python"}
                hello |= {"version": "0", "protocol": 1}
                text = f"CONNECT {json.dumps(hello)}\r\nSUB {self._reply} 1\r\n"
                connection.sendall(text.encode())
                self._socket = connection
                gevent.spawn(self._read, connection)
            return self._socket

    def _read(self, connection: socket.socket) -> None:
        """The reader greenlet: until the connection ends."""
        unread = b""
        try:
            while chunk := connection.recv(READ_SIZE):
                unread += chunk
                used = 0
                for end, payload in messages(unread):
                    used = end
                    if payload is None:
                        with self._writing:
                            connection.sendall(b"PONG\r\n")
                    else:
                        self._answered(payload)
                unread = unread[used:]
        except (OSError, AvroError) as error:
            self._lost(str(error))
        else:
            self._lost("closed by the server")
        finally:
            connection.close()

    def _answered(self, payload: bytes) -> None:
        # One that came after its timeout has nobody left who waits.
        if (asked := self._waiting.get(leading_correlation_id(payload) or "")) is not None:
            waiting, decode = asked
            waiting.set(decode(payload))

    def _lost(self, why: str) -> None:
        self._socket = None
        for waiting, _ in list(self._waiting.values()):
            waiting.set_exception(LinkLost(why))


def messages(buffer: bytes) -> Iterator[tuple[int, bytes | None]]:
    """The whole protocol messages in ``buffer``: where each ends, and its payload (None for a PING).

    INFO, PONG and +OK are passed over. Raises ConnectionError upon -ERR.
    """
    at = 0
    while (end := buffer.find(b"\r\n", at)) >= 0:
        head = buffer[at:end]
        at = end + 2
        if head.startswith(b"MSG "):
            size = int(head.rsplit(b" ", 1)[1])
            if len(buffer) < at + size + 2:
                return
            yield at + size + 2, buffer[at : at + size]
            at += size + 2
        elif head == b"PING":
            yield at, None
        elif head.startswith(b"-ERR"):
            raise ConnectionError(head.decode(errors="replace"))
