"""Certificates replaced on disk: SIGHUP takes over the new ones, and no request is lost on the way."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client as NatsClient

from kaa_epr.embedded import NatsServer, start_nats
from tests.nats.harness import Store, ask, connected, settings_of
from tests.nats.process import Process, running
from tests.nats.secrets import Certificates
from tests.property.support import needs_rust

PATHS = [
    pytest.param({"engine": "rust"}, id="fast", marks=needs_rust),
    pytest.param({"engine": "rust", "nats": {"fast_path": "off"}}, id="callbacks", marks=needs_rust),
]
MINE = ("ca.pem", "service.pem", "service.key")


class Identity:
    """An authority of its own, and what it issued to the server and to its clients."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.certificates = Certificates(directory)
        self.certificates.issue("service", "service")
        self.certificates.issue("peer", "peer")

    def server_lines(self, *trusted: Identity) -> list[str]:
        """A server with our certificate that trusts clients of all of ``trusted``."""
        cert, key = self.certificates.issue("server", "127.0.0.1", "localhost")
        bundle = self.directory / "trusted.pem"
        bundle.write_text("".join(each.certificates.ca_file.read_text() for each in trusted))
        return [f'tls {{ cert_file: "{cert}", key_file: "{key}", ca_file: "{bundle}", verify: true }}']

    def install(self, mounted: Path) -> None:
        """Replaces what the service reads, as a secret that is mounted changes."""
        for name in MINE:
            (mounted / name).write_bytes((self.directory / name).read_bytes())

    def context(self) -> ssl.SSLContext:
        """What the peer connects with."""
        context = ssl.create_default_context(cafile=str(self.certificates.ca_file))
        context.load_cert_chain(self.directory / "peer.pem", self.directory / "peer.key")
        return context


class Asker:
    """Asks one get after the other; each must be answered."""

    def __init__(self, peer: NatsClient, instance: str) -> None:
        self._peer, self._instance = peer, instance
        self.answered = 0
        self._moved = asyncio.Condition()
        self._stopping = False

    async def run(self) -> None:
        while not self._stopping:
            answer = await ask(self._peer, self._instance)
            assert answer["statusCode"] == 200
            async with self._moved:
                self.answered += 1
                self._moved.notify_all()

    async def more(self, number: int) -> None:
        """Until so many more are answered."""
        goal = self.answered + number
        async with asyncio.timeout(20), self._moved:
            await self._moved.wait_for(lambda: self.answered >= goal)

    def stop(self) -> None:
        self._stopping = True


@asynccontextmanager
async def asking(server: NatsServer, who: Identity, instance: str) -> AsyncIterator[Asker]:
    """Gets all the time; a get that is not answered (no responders, a timeout) fails the test."""
    async with (
        connected(server.url, tls=who.context(), allow_reconnect=False) as peer,
        asyncio.TaskGroup() as group,
    ):
        asker = Asker(peer, instance)
        for _ in range(8):
            group.create_task(asker.run())
        await asker.more(50)
        try:
            yield asker
        finally:
            asker.stop()


@pytest.fixture
def identities(tmp_path: Path) -> tuple[Identity, Identity]:
    return Identity(tmp_path / "old"), Identity(tmp_path / "new")


def settings(
    server: NatsServer, store: Store, instance: str, mounted: Path, path: dict[str, Any]
) -> dict[str, Any]:
    ca, cert, key = (str(mounted / name) for name in MINE)
    made = settings_of(server.url, store.uri, store.database, instance, **path)
    made["nats"]["tls"] = {"ca_file": ca, "cert_file": cert, "key_file": key}
    return made


async def handshake(server: NatsServer, who: Identity) -> None:
    """A new connection as far as TLS. Raises ssl.SSLError for a server whose certificate is not trusted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        assert (await reader.readline()).startswith(b"INFO ")
        await writer.start_tls(who.context(), server_hostname="127.0.0.1")
    finally:
        writer.close()


async def reload(service: Process, times: int) -> None:
    service.signal(signal.SIGHUP)
    await service.logged("reloaded", times)


@pytest.mark.parametrize("path", PATHS)
async def test_authority_and_certificates_of_both_sides_are_replaced(
    path: dict[str, Any],
    identities: tuple[Identity, Identity],
    store: Store,
    instance_name: str,
    tmp_path: Path,
) -> None:
    """The order of operators: all trust both authorities, all get new certificates, the old authority goes.

    The peer stays connected to the server with its old certificate, which is only judged at connecting.
    """
    old, new = identities
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    old.install(mounted)
    (tmp_path / "service").mkdir()
    server = start_nats(tmp_path / "nats", config_lines=old.server_lines(old))
    try:
        made = settings(server, store, instance_name, mounted, path)
        async with (
            running(tmp_path / "service", made) as service,
            asking(server, old, instance_name) as asker,
        ):
            both = [(each.directory / "ca.pem").read_text() for each in identities]
            (mounted / "ca.pem").write_text("".join(both))
            await reload(service, 1)
            server.reload(new.server_lines(old, new))
            await asker.more(50)
            new.install(mounted)
            await reload(service, 2)
            await asker.more(50)
            server.reload(new.server_lines(new))
            await reload(service, 3)
            await asker.more(50)
            asker.stop()
            with pytest.raises(ssl.SSLError):
                await handshake(server, old)
            assert not [line for line in service.log if line.get("level") == "error"]
            assert await service.stop() == 0
    finally:
        server.stop()
