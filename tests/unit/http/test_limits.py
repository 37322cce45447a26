"""Slow, many and greedy clients, each on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from kaa_epr.http.asgi import ClientGone, Receive, Scope, Send
from kaa_epr.http.connection import DISCARD, READ_AHEAD, Connection
from kaa_epr.http.server import HttpServer
from tests.support.raw_http import Client, connected
from tests.support.waiting import until
from tests.unit.http.corpus import CHUNKED, GET, HOST, PUT
from tests.unit.http.serving import Echo, body, serving, start

SOON = 0.3
"""Seconds that a request may take where a test waits for the end of them."""
ASK = GET + HOST + b"\r\n"
RECEIVED_AT_ONCE = 256 * 1024
"""Bytes that either loop reads from a socket in one go."""


def drip(client: Client, data: bytes) -> None:
    """One byte every 20 ms, until the connection is closed: never idle, never done."""
    if data and not client.writer.is_closing():
        client.send(data[:1])
        asyncio.get_running_loop().call_later(0.02, drip, client, data[1:])


# --- time ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("at_once", "slowly", "status"),
    [
        (b"", b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 50, 408),
        (b"GET / HT", b"", 408),
        (PUT + b"Content-Length: 1000\r\n\r\n", b" " * 1000, 408),
        (PUT + b"Content-Length: 1000\r\n\r\n", b"", 408),
        (CHUNKED, b"1\r\n \r\n" * 200, 408),
        (ASK + b"P", b"U", 408),
        (b"", b"\r\n" * 500, 408),
        (b"", b"", None),
        (ASK, b"", None),
    ],
    ids=[
        "head",
        "head, silence",
        "body",
        "body, silence",
        "chunks",
        "second head",
        "empty lines",
        "silence",
        "idle",
    ],
)
async def test_slow_clients_are_cut_off(at_once: bytes, slowly: bytes, status: int | None) -> None:
    async with serving(Echo(), request_seconds=SOON) as server, connected(server) as client:
        client.send(at_once)
        if at_once.startswith(ASK):
            assert (await client.answer()).status == 200
        drip(client, slowly)
        rest = await client.ended()
    if status is None:
        assert rest == b""
    else:
        assert rest.startswith(b"HTTP/1.1 %d " % status)


async def refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Without a look at the body."""
    await send(start(403))
    await send(body(b""))


async def test_a_body_that_nobody_wants_has_no_longer_than_others() -> None:
    async with serving(refuse, request_seconds=SOON) as server, connected(server) as client:
        client.send(PUT + b"Content-Length: 1000\r\n\r\n")
        assert (await client.answer()).status == 403
        drip(client, b"x" * 1000)
        assert await client.ended() == b""


async def test_an_application_that_takes_too_long_costs_its_client_the_connection() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        begun.set()
        await go_on.wait()
        with pytest.raises(ClientGone):
            await send(start())
        begun.clear()

    async with serving(app, request_seconds=SOON) as server, connected(server) as client:
        client.send(ASK)
        assert await client.ended() == b""
        # What was begun goes on: it may be half of a change.
        assert begun.is_set()
        go_on.set()
        await until(lambda: not begun.is_set())


def connections(server: HttpServer) -> set[Connection]:
    """Those that the server has."""
    assert server._shared is not None
    return server._shared.connections


# --- clients that do not read -------------------------------------------------------------------------------
class Flood:
    """Answers without an end, and counts what it got rid of."""

    def __init__(self) -> None:
        self.bytes = 0
        self.ended = asyncio.Event()

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await send(start())
            while True:
                await send(body(b"x" * 65536, more=True))
                self.bytes += 65536
        finally:
            self.ended.set()


def few_buffers() -> socket.socket:
    """A client socket that takes next to nothing that is not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return sock


@asynccontextmanager
async def deaf(server: HttpServer) -> AsyncIterator[socket.socket]:
    """A connected socket from which nobody reads."""
    host, port = server.url.removeprefix("http://").split(":")
    with few_buffers() as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        yield sock


async def test_an_answer_that_is_not_read_stays_with_the_application_and_ends_in_time() -> None:
    app = Flood()
    async with serving(app, request_seconds=SOON) as server, deaf(server) as sock:
        sock.send(ASK)
        async with asyncio.timeout(20):
            await app.ended.wait()
    # The kernel's send buffer grows to some megabytes; ours does not.
    assert app.bytes < 16 * 1024 * 1024


async def test_answers_that_are_not_read_end_the_connection_in_time() -> None:
    """Each fits into buffers, and so does the last: it is not waited for."""
    async with serving(Echo(), request_seconds=SOON) as server, deaf(server) as sock:
        sock.send(ASK * 50)
        await until(lambda: connections(server))
        (connection,) = connections(server)
        await until(lambda: not connections(server))
        assert connection._transport.is_closing()


async def test_a_client_that_asks_on_without_reading_is_not_read_either() -> None:
    app = Echo()
    async with serving(app, request_seconds=0.6) as server, deaf(server) as sock:
        sending = asyncio.create_task(send_until_the_end(sock, ASK * 1000))
        await until(lambda: connections(server))
        (connection,) = connections(server)
        most = 0
        while connections(server):
            most = max(most, connection.reader.waiting)
            await asyncio.sleep(0)
        assert 0 < most <= READ_AHEAD + RECEIVED_AT_ONCE
        assert await sending < 64 * 1024 * 1024


async def send_until_the_end(sock: socket.socket, data: bytes) -> int:
    sent = 0
    with contextlib.suppress(ConnectionError):
        while True:
            await asyncio.get_running_loop().sock_sendall(sock, data)
            sent += len(data)
    return sent


@pytest.mark.parametrize("count", [3, 2000])
async def test_requests_that_were_sent_together_are_answered_in_order(count: int) -> None:
    async with serving(Echo()) as server, connected(server) as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(count)))
        for number in range(count):
            assert f'"/{number}"'.encode() in (await client.answer()).body


async def test_a_body_is_read_as_its_application_reads_it() -> None:
    read = asyncio.Event()
    seen = 0

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal seen
        await read.wait()
        while (message := await receive())["more_body"]:
            seen += len(message["body"])
        seen += len(message["body"])
        await send(start())
        await send(body(b""))

    size = 32 * 1024 * 1024
    async with serving(app) as server, connected(server) as client:
        client.send(PUT + b"Content-Length: %d\r\n\r\n" % size)
        client.send(b"x" * size)
        await until(lambda: connections(server))
        (connection,) = connections(server)
        await until(lambda: connection.reader.waiting > READ_AHEAD)
        assert connection.reader.waiting <= READ_AHEAD + RECEIVED_AT_ONCE
        read.set()
        assert (await client.answer()).status == 200
    assert seen == size


async def test_a_long_body_that_nobody_wants_ends_the_connection() -> None:
    async with serving(refuse) as server:
        for size, stays in ((DISCARD, True), (DISCARD + 1, False)):
            async with connected(server) as client:
                client.send(PUT + b"Content-Length: %d\r\n\r\n" % size)
                assert (await client.answer()).stays == stays


# --- sizes and numbers --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 431),
        (GET + b"A: " + b"a" * 5000, 431),
        (GET + HOST + b"A: b\r\n" * 100 + b"\r\n", 431),
        (CHUNKED + b"1;" + b"a" * 5000, 400),
        (CHUNKED + b"0\r\n" + b"A: b\r\n" * 1000, 400),
    ],
    ids=["target", "header", "headers", "chunk extension", "trailers"],
)
async def test_sizes(data: bytes, status: int) -> None:
    async with serving(Echo()) as server, connected(server) as client:
        client.send(data)
        answer = await client.answer()
        assert (answer.status, answer.stays) == (status, False)
        assert await client.ended() == b""


async def test_one_connection_too_many_is_closed_and_counted() -> None:
    refused: list[None] = []
    limits = {"max_connections": 2, "on_refused": lambda: refused.append(None)}
    async with serving(Echo(), **limits) as server, connected(server), connected(server) as second:
        second.send(ASK)
        assert (await second.answer()).status == 200
        async with connected(server) as third:
            assert await third.ended() == b""
        assert len(refused) == 1
        second.send(GET + HOST + b"Connection: close\r\n\r\n")
        assert (await second.ended()).startswith(b"HTTP/1.1 200")
        async with connected(server) as fourth:
            fourth.send(ASK)
            assert (await fourth.answer()).status == 200
    assert len(refused) == 1


async def test_what_is_under_way_for_a_client_that_left_counts_as_a_connection() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    refused: list[None] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        begun.set()
        await go_on.wait()
        await send(start())

    async with serving(app, max_connections=1, on_refused=lambda: refused.append(None)) as server:
        async with connected(server) as client:
            client.send(ASK)
            await begun.wait()
        async with connected(server) as other:
            assert await other.ended() == b""
        assert len(refused) == 1
        go_on.set()
        await until(lambda: not connections(server))


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, ssl.SSLContext]:
    """Certificate, key, and a client's context that trusts it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return folder / "cert.pem", folder / "key.pem", context


async def test_handshakes_count_as_connections_and_end_in_time(
    tls: tuple[Path, Path, ssl.SSLContext],
) -> None:
    chain, key, trusting = tls
    refused = asyncio.Event()
    options = {"cert_file": chain, "key_file": key, "max_connections": 2, "request_seconds": SOON}
    async with serving(Echo(), on_refused=refused.set, **options) as server:
        async with connected(server) as silent, connected(server) as babbling:
            babbling.send(b"GET / HTTP/1.1\r\n\r\n")
            async with connected(server) as third:
                assert await third.ended() == b""
            await asyncio.wait_for(refused.wait(), 20)
            await silent.ended()
            await babbling.ended()
        async with connected(server, ssl=trusting) as client:
            client.send(ASK)
            assert (await client.answer()).status == 200
