"""Clients that write: 19/EPMMP key updates over one NATS connection, and REST over kept-alive connections.

With no more protocol than it takes, so that the clients' own CPU stays well below that of what they measure.
Each client has *slots*: one request under way in each. Every answer is checked.
"""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, Protocol, Self, cast
from urllib.parse import urlsplit

from kaa_epr.messages import subjects

KEY: Final = "k"
"""The metadata key that is written."""
TICK: Final = 0.01
"""Seconds. Being woken up for every single write would cost the client as much as the register."""
OK_TAIL: Final = b"\x90\x03\x00"
"""How a response of 19/EPMMP ends: statusCode 200, no reasonPhrase."""

Answered = Callable[[int, bool], None]
"""(slot, whether it was acknowledged)."""


class Writer(Protocol):
    """One way to write."""

    def send(self, slot: int, endpoint: str, value: int) -> None:
        """Sends one write of ``KEY``; the slot is free again when its answer is told."""

    def close(self) -> None:
        """Closes the connections."""


class NatsConnection(asyncio.Protocol):
    """Frames of the NATS protocol, as far as a client that trusts its server needs them."""

    def __init__(self, on_message: Callable[[bytes, bytes], None]) -> None:
        """``on_message``: subject and payload."""
        self._on_message = on_message
        self._read = b""
        self._pongs: list[asyncio.Future[None]] = []

    @classmethod
    async def open(
        cls, url: str, subscriptions: Sequence[str], on_message: Callable[[bytes, bytes], None]
    ) -> NatsConnection:
        """Connected and subscribed."""
        at = urlsplit(url)
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: cls(on_message), at.hostname or "", at.port or 4222
        )
        hello = {"verbose": False, "pedantic": False, "headers": True, "name": "bench", "lang": "python"}
        connection.write(f"CONNECT {json.dumps(hello)}\r\n".encode())
        for number, subject in enumerate(subscriptions, 1):
            connection.write(f"SUB {subject} {number}\r\n".encode())
        await connection.flush()
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def write(self, frames: bytes) -> None:
        """Sends."""
        self._transport.write(frames)

    async def flush(self) -> None:
        """Until the server has handled what was written."""
        pong = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self.write(b"PING\r\n")
        await pong

    def close(self) -> None:
        """Closes."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        read = self._read + data
        at = 0
        while (end := read.find(b"\r\n", at)) >= 0:
            words = read[at:end].split()
            if words and words[0] in (b"MSG", b"HMSG"):
                after = end + 2 + int(words[-1])
                if len(read) < after + 2:
                    break
                head = int(words[-2]) if words[0] == b"HMSG" else 0
                self._on_message(words[1], read[end + 2 + head : after])
                at = after + 2
                continue
            at = end + 2
            self._control(words)
        self._read = read[at:]

    def _control(self, words: list[bytes]) -> None:
        if words[0] == b"PING":
            self.write(b"PONG\r\n")
        elif words[0] == b"PONG":
            self._pongs.pop(0).set_result(None)
        elif words[0] == b"-ERR":
            raise ConnectionError(b" ".join(words).decode())


def long(value: int) -> bytes:
    """Avro's long: zigzag, 7 bits a byte."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def text(value: str | bytes) -> bytes:
    """Avro's string and bytes."""
    data = value.encode() if isinstance(value, str) else value
    return long(len(data)) + data


def head(correlation_id: str) -> bytes:
    """What every request of 19/EPMMP begins with: correlationId, timestamp, no timeout."""
    return text(correlation_id) + long(time.time_ns() // 1_000_000) + b"\x00"


class KeyUpdates:
    """Key updates over NATS."""

    def __init__(self, instance: str, answered: Answered) -> None:
        self._answered = answered
        self._inbox = f"_INBOX.bench{time.time_ns()}"
        subject = subjects.targeted(instance, subjects.EPMMP, subjects.KEY_UPDATE_REQUEST)
        self._head = f"PUB {subject} {self._inbox}.".encode()

    async def open(self, url: str) -> KeyUpdates:
        """Connects."""
        self._connection = await NatsConnection.open(url, [f"{self._inbox}.*"], self._on_answer)
        return self

    def send(self, slot: int, endpoint: str, value: int) -> None:
        """One request."""
        payload = head("bench") + text(endpoint) + text(KEY) + text(b"%d" % value)
        self._connection.write(b"%b%d %d\r\n%b\r\n" % (self._head, slot, len(payload), payload))

    def _on_answer(self, subject: bytes, payload: bytes) -> None:
        self._answered(int(subject.rpartition(b".")[2]), payload.endswith(OK_TAIL))

    def close(self) -> None:
        """Closes."""
        self._connection.close()


class _RestConnection(asyncio.Protocol):
    def __init__(self, slot: int, answered: Answered) -> None:
        self._slot = slot
        self._answered = answered
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._read += data
        end = self._read.find(b"\r\n\r\n")
        if end < 0:
            return
        headers = self._read[:end].lower()
        length = int(headers.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(self._read) >= end + 4 + length:
            self._read = b""
            self._answered(self._slot, headers.startswith(b"http/1.1 200"))


class RestClient(ABC):
    """Requests over REST, one connection a slot."""

    def __init__(self, answered: Answered) -> None:
        self._answered = answered
        self._connections: list[_RestConnection] = []

    async def open(self, url: str, slots: int) -> Self:
        """Connects."""
        at = urlsplit(url)
        loop = asyncio.get_running_loop()
        for slot in range(slots):
            _, connection = await loop.create_connection(
                lambda slot=slot: _RestConnection(slot, self._answered),  # type: ignore[misc]
                at.hostname or "",
                at.port or 80,
            )
            self._connections.append(connection)
        return self

    def send(self, slot: int, endpoint: str, value: int) -> None:
        """One request."""
        self._connections[slot].transport.write(self.request(endpoint, value))

    @abstractmethod
    def request(self, endpoint: str, value: int, /) -> bytes:
        """As it goes out."""

    def close(self) -> None:
        """Closes."""
        for connection in self._connections:
            connection.transport.close()


class KeyPuts(RestClient):
    """``PUT`` of one metadata key."""

    def request(self, endpoint: str, value: int, /) -> bytes:
        """The value is its body."""
        body = b"%d" % value
        return (
            b"PUT /api/v1/endpoints/%b/metadata/%b HTTP/1.1\r\nHost: bench\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (endpoint.encode(), KEY.encode(), len(body), body)
        )


class EndpointGets(RestClient):
    """``GET`` of an endpoint with its metadata; nothing is written."""

    def request(self, endpoint: str, _value: int, /) -> bytes:
        """Nothing is written."""
        return (
            b"GET /api/v1/endpoints/%b?include=metadata HTTP/1.1\r\nHost: bench\r\n\r\n" % endpoint.encode()
        )


class Loop:
    """Writes to endpoints in turn: closed (each slot writes again at once) or at a fixed rate.

    Latency is from the moment a write was due: in the closed loop when it was sent, at a fixed rate its place
    in the schedule, so waiting behind others counts.
    """

    def __init__(self, endpoints: Sequence[str], slots: int) -> None:
        self._endpoints = endpoints
        self._free = list(range(slots))
        self._due: dict[int, float] = {}
        self._position = 0
        self._value = time.time_ns()
        self._step = asyncio.Event()
        self.writer: Writer
        self.latencies: list[float] = []
        self.refused = 0

    def answered(self, slot: int, acknowledged: bool) -> None:
        """The clients call it."""
        self.latencies.append(time.perf_counter() - self._due.pop(slot))
        self.refused += not acknowledged
        self._free.append(slot)
        self._step.set()

    async def closed(self, seconds: float) -> float:
        """As fast as answers come; returns the seconds until the last was answered."""
        begun = time.perf_counter()
        while (now := time.perf_counter()) < begun + seconds:
            while self._free:
                self._send(now)
            await self._next()
        await self._answers()
        return time.perf_counter() - begun

    async def at_rate(self, rate: float, until: asyncio.Event) -> float:
        """``rate`` a second until told to end; returns the seconds until the last was answered.

        Every ``TICK`` what is due is sent.
        """
        begun = time.perf_counter()
        sent = 0
        while not until.is_set():
            due = begun + sent / rate
            now = time.perf_counter()
            if due > now:
                await asyncio.sleep(max(due - now, TICK))
            elif self._free:
                self._send(due)
                sent += 1
            else:
                await self._next()
        await self._answers()
        return time.perf_counter() - begun

    def _send(self, due: float) -> None:
        slot = self._free.pop()
        self._due[slot] = due
        self._position = (self._position + 1) % len(self._endpoints)
        # A value that nobody wrote before: what changes nothing is not written.
        self._value += 1
        self.writer.send(slot, self._endpoints[self._position], self._value)

    async def _next(self) -> None:
        self._step.clear()
        await self._step.wait()

    async def _answers(self) -> None:
        while self._due:
            await self._next()
