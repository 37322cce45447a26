"""Servers that the keys of tokens come from, and that do not do what they should."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
import trustme
import yaml

from kaa_epr.config.register import SecuritySettings
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.embedded.process import ServerProcess
from kaa_epr.http import key_source
from kaa_epr.http.auth import Authenticator
from kaa_epr.refusals import Unavailable
from tests.flows.test_register_security import AUDIENCE, ISSUER, Issuer
from tests.support.command import PROGRAM, READY, environment
from tests.support.fleet import REGISTER, merged, replica_settings
from tests.support.waiting import kept

SCOPE: Final = "endpoint:read"
SECONDS: Final = 1.0
Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


class KeyServer:
    """Answers every connection as ``answer`` does, and is told when somebody leaves before the end."""

    def __init__(self, answer: Answering, body: bytes) -> None:
        self.answer = answer
        self.body = body
        self.asked = 0
        self.gone = asyncio.Event()
        self.urls: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.urls.append((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode())
            self.asked += 1
            await self.answer(reader, writer, self.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        finally:
            writer.close()


def headed(status: str, body: bytes, *lines: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *lines, "", ""]
    return "\r\n".join(head).encode() + body


async def properly(_: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(headed("200 OK", body))


async def dripping(_: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    """Always something soon, never the end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await _tick()


async def dripping_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    number = 0
    while True:
        number += 1
        writer.write(b"X-%d: y\r\n" % number)
        await writer.drain()
        await _tick()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    await reader.read()
    raise ConnectionResetError


async def huge(_: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
    while True:
        writer.write(b" " * 65536)
        await writer.drain()


async def compressed(_: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(headed("200 OK", body, "Content-Encoding: gzip"))


async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(headed("200 OK", body)[:-5])


async def nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")


async def _tick() -> None:
    """What is slow about a slow server."""
    loop = asyncio.get_running_loop()
    passed = loop.create_future()
    loop.call_later(0.05, passed.set_result, None)
    await passed


@asynccontextmanager
async def served(
    answer: Answering, issuer: Issuer, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[KeyServer, str]]:
    keys = KeyServer(answer, json.dumps(issuer.jwks()).encode())
    server = await asyncio.start_server(keys.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    yield keys, f"{'http' if context is None else 'https'}://localhost:{port}/certs"
    server.close()


def authenticator(url: str) -> Authenticator:
    return Authenticator(
        SecuritySettings(jwks=url, issuer=ISSUER, audience=AUDIENCE, algorithms=("ES256",)), Counter()
    )


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_source, "FETCH_SECONDS", SECONDS)


async def test_keys_are_had(issuer: Issuer) -> None:
    async with served(properly, issuer) as (keys, url):
        found = await authenticator(url).check(f"Bearer {issuer.token(sub='alice')}", SCOPE)
        assert found is not None
        assert (found.subject, found.issuer) == ("alice", ISSUER)
        assert keys.asked == 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("answer", [dripping, dripping_head, silent])
async def test_there_is_one_time_for_all_of_it(answer: Answering, issuer: Issuer) -> None:
    async with served(answer, issuer) as (keys, url):
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await authenticator(url).check(f"Bearer {issuer.token()}", SCOPE)
        assert SECONDS <= time.monotonic() - began < SECONDS + 4
        async with asyncio.timeout(20):
            await keys.gone.wait()


@pytest.mark.parametrize("answer", [huge, compressed, cut, nonsense])
async def test_what_is_not_taken(answer: Answering, issuer: Issuer) -> None:
    async with served(answer, issuer) as (keys, url):
        with pytest.raises(Unavailable):
            await authenticator(url).check(f"Bearer {issuer.token()}", SCOPE)
        assert keys.asked == 1


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
)
async def test_redirects_are_not_followed(
    issuer: Issuer, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From https to http least of all: whoever is between could then give us keys of their own."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with served(properly, issuer) as (plain, elsewhere):

        async def redirecting(_: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
            writer.write(headed(status, b"", f"Location: {elsewhere}"))

        with authority.cert_pem.tempfile() as trusted:
            monkeypatch.setenv("SSL_CERT_FILE", trusted)
            async with served(redirecting, issuer, context) as (first, url):
                with pytest.raises(Unavailable):
                    await authenticator(url).check(f"Bearer {issuer.token()}", SCOPE)
                assert (first.asked, plain.asked) == (1, 0)


async def test_the_environments_proxy_is_not_asked(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(properly, Issuer()) as (proxy, other), served(properly, issuer) as (keys, url):
        monkeypatch.setenv("HTTP_PROXY", other.removesuffix("/certs"))
        monkeypatch.setenv("http_proxy", other.removesuffix("/certs"))
        await authenticator(url).check(f"Bearer {issuer.token()}", SCOPE)
        assert (keys.asked, proxy.asked) == (1, 0)


async def test_who_waits_hears_when_it_ends(issuer: Issuer) -> None:
    async with served(dripping, issuer) as (keys, url):
        checker = authenticator(url)
        waiting = asyncio.ensure_future(checker.check(f"Bearer {issuer.token()}", SCOPE))
        while not keys.asked:
            await _tick()
        await checker.stop()
        with pytest.raises(Unavailable):
            await waiting


async def test_a_file_that_is_none_is_not_read(tmp_path: Path, issuer: Issuer) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for source in (pipe, tmp_path, Path("/dev/zero"), tmp_path / "absent"):
        with pytest.raises(Unavailable):
            await authenticator(str(source)).check(f"Bearer {issuer.token()}", SCOPE)


async def test_the_process_ends_while_a_fetch_drips(
    tmp_path: Path,
    nats_server: NatsServer,
    mongod: MongoServer,
    mongo_database: str,
    instance_name: str,
    issuer: Issuer,
) -> None:
    async with served(dripping, issuer) as (keys, url):
        security = {
            "enabled": True,
            "jwks": url,
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "algorithms": ["ES256"],
        }
        layers = ({"management": {"enabled": False}}, REGISTER, {"register": {"security": security}})
        settings = replica_settings(nats_server.url, mongod.uri, mongo_database, instance_name, *layers)
        settings = merged(settings, {"service": {"drain_timeout": 60.0}})
        config = tmp_path / "epr.yaml"
        config.write_text(yaml.safe_dump(settings))
        process = ServerProcess(
            "epr", [PROGRAM, "serve", "--config", config], tmp_path / "log", environment()
        )
        await kept(process.start)
        try:
            await asyncio.to_thread(process.wait_for, READY, 60.0)
            (line,) = [line for line in process.lines() if READY.search(line)]
            rest = yaml.safe_load(line)["rest"]
            async with httpx.AsyncClient(timeout=60) as client:
                asking = asyncio.ensure_future(
                    client.get(
                        f"{rest}/api/v1/endpoints", headers={"Authorization": f"Bearer {issuer.token()}"}
                    )
                )
                while not keys.asked:
                    await _tick()
                began = time.monotonic()
                process.signal(signal.SIGTERM)
                assert (await asking).status_code == 503
                assert await asyncio.to_thread(process.wait) == 0
                assert time.monotonic() - began < key_source.FETCH_SECONDS
        finally:
            await kept(process.kill)
