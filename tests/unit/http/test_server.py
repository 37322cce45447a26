"""Listening, stopping, certificates: a server as a whole."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from kaa_epr.http.asgi import Receive, Scope, Send
from kaa_epr.http.server import AddressError, HttpServer
from tests.support.raw_http import connected
from tests.support.waiting import until
from tests.unit.http.corpus import GET, HOST, PUT
from tests.unit.http.serving import Echo, body, server_of, serving, start

ASK = GET + HOST + b"\r\n"


class Gated:
    """Answers once it is let."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        self.begun.set()
        try:
            await self.go_on.wait()
            await send(start())
            await send(body(b"done"))
        finally:
            self.ended.set()


# --- stopping -----------------------------------------------------------------------------------------------
async def test_what_has_begun_is_answered_and_then_the_connection_ends() -> None:
    app = Gated()
    server = server_of(app)
    await server.start()
    async with connected(server) as asking, connected(server) as idle, connected(server) as sending:
        asking.send(ASK)
        sending.send(PUT + b"Content-Length: 1\r\n")
        await app.begun.wait()
        await until(lambda: len(server._shared.connections) == 3)  # type: ignore[union-attr]
        stopping = asyncio.create_task(server.stop(20))
        assert await idle.ended() == b""
        with pytest.raises(ConnectionRefusedError):
            async with connected(server):
                pass
        app.go_on.set()
        answer = await asking.answer()
        assert (answer.body, answer.stays) == (b"done", False)
        assert await asking.ended() == b""
        assert not stopping.done()
        sending.send(b"\r\nx")
        answer = await sending.answer()
        assert (answer.body, answer.stays) == (b"done", False)
        await stopping


async def test_requests_behind_the_one_under_way_are_left_to_others() -> None:
    app = Gated()
    server = server_of(app)
    await server.start()
    async with connected(server) as client:
        client.send(ASK * 3)
        await app.begun.wait()
        stopping = asyncio.create_task(server.stop(20))
        await asyncio.sleep(0)
        app.go_on.set()
        assert not (await client.answer()).stays
        assert await client.ended() == b""
        await stopping


async def test_stopping_takes_no_longer_than_it_is_given() -> None:
    app = Gated()
    server = server_of(app)
    await server.start()
    loop = asyncio.get_running_loop()
    async with connected(server) as client, connected(server) as unfinished:
        client.send(ASK)
        unfinished.send(b"GET /")
        await app.begun.wait()
        begun = loop.time()
        await server.stop(0.2)
        assert 0.19 < loop.time() - begun < 5
        assert app.ended.is_set()
        assert await client.ended() == b""
        assert await unfinished.ended() == b""


async def test_stopping_while_a_client_shakes_hands(certificates: Certificates) -> None:
    certificates.issue()
    async with serving(Echo(), **certificates.options) as server, connected(server) as client:
        await until(lambda: server._shared.connections)  # type: ignore[union-attr]
        await asyncio.wait_for(server.stop(20), 10)
        assert await client.ended() == b""


# --- two on one port ----------------------------------------------------------------------------------------
async def test_two_servers_share_a_port() -> None:
    first, second = Echo(), Echo()
    async with serving(first, shared=True) as server:
        port = int(server.url.rpartition(":")[2])
        async with serving(second, shared=True, port=port):
            # The kernel spreads connections by a hash of their addresses.
            for _ in range(200):
                async with connected(server) as client:
                    client.send(ASK)
                    assert (await client.answer()).status == 200
                if first.begun and second.begun:
                    break
            assert first.begun
            assert second.begun
        for _ in range(20):
            async with connected(server) as client:
                client.send(ASK)
                assert (await client.answer()).status == 200


async def test_a_port_is_not_shared_unasked() -> None:
    async with serving(Echo()) as server:
        other = server_of(Echo(), port=int(server.url.rpartition(":")[2]))
        with pytest.raises(AddressError, match="Address already in use"):
            await other.start()


@contextmanager
def no_files_left() -> Iterator[None]:
    """As many file descriptors as the process may have are open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
    held: list[int] = []
    try:
        with pytest.raises(OSError) as full:
            open_until_refused(held)
        assert full.value.errno == errno.EMFILE
        yield
    finally:
        for file in held:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_until_refused(held: list[int]) -> None:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))


async def test_connections_are_accepted_again_once_there_are_files() -> None:
    async with serving(Echo()) as server, connected(server) as before:
        before.send(ASK)
        assert (await before.answer()).status == 200
        listener = server._listener
        assert listener is not None
        with no_files_left():
            listener._accept()
            assert listener._pause is not None
        before.send(ASK)
        assert (await before.answer()).status == 200
        async with connected(server) as after:
            after.send(ASK)
            assert (await after.answer()).status == 200


# --- certificates -------------------------------------------------------------------------------------------
class Certificates:
    """One authority, and the files of a server that it issues certificates to."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.chain = folder / "cert.pem"
        self.key = folder / "key.pem"
        self.options = {"cert_file": self.chain, "key_file": self.key}
        self.trusting = ssl.create_default_context()
        self.authority.configure_trust(self.trusting)

    def issue(self) -> bytes:
        """New files; returns what a client sees of the certificate."""
        issued = self.authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(self.key)
        issued.cert_chain_pems[0].write_to_path(self.chain)
        return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())

    async def seen(self, server: HttpServer) -> bytes | None:
        """What a new connection is shown."""
        async with connected(server, ssl=self.trusting) as client:
            client.send(ASK)
            assert (await client.answer()).status == 200
            shown: bytes | None = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return shown


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def test_a_certificate_is_replaced_while_connections_live(certificates: Certificates) -> None:
    first = certificates.issue()
    async with serving(Echo(), **certificates.options) as server:
        assert server.url.startswith("https://")
        assert await certificates.seen(server) == first
        async with connected(server, ssl=certificates.trusting) as living:
            second = certificates.issue()
            assert await certificates.seen(server) == first
            server.reload()
            assert await certificates.seen(server) == second
            living.send(ASK)
            assert (await living.answer()).status == 200


@pytest.mark.parametrize("broken", ["missing", "not PEM", "another key"])
async def test_a_certificate_that_cannot_be_used_leaves_the_one_before(
    certificates: Certificates, broken: str
) -> None:
    first = certificates.issue()
    key = certificates.key.read_bytes()
    async with serving(Echo(), **certificates.options) as server:
        certificates.issue()
        if broken == "missing":
            certificates.key.unlink()
        else:
            certificates.key.write_bytes(key if broken == "another key" else b"nothing")
        with pytest.raises(OSError):
            server.reload()
        assert await certificates.seen(server) == first


async def test_a_server_without_a_certificate_has_nothing_to_reload() -> None:
    async with serving(Echo()) as server, connected(server) as client:
        server.reload()
        client.send(ASK)
        assert (await client.answer()).status == 200


async def test_a_certificate_that_cannot_be_read_is_told_at_the_start(certificates: Certificates) -> None:
    with pytest.raises(FileNotFoundError):
        await server_of(Echo(), **certificates.options).start()
