"""Connecting, and coming back, in all the ways that nats-py offers, with the core in the read path."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kaa_epr.embedded import NatsServer, start_nats
from kaa_epr.service import Service
from tests.nats.harness import Store, ask, connected, count, serving, settings_of, started
from tests.nats.secrets import Certificates, new_key, operator_mode
from tests.property.support import needs_rust
from tests.support.proxy import Proxy
from tests.support.waiting import until

pytestmark = needs_rust


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[NatsServer]:
    server = start_nats(tmp_path / "nats")
    yield server
    server.stop()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def back(service: Service, connects: int) -> bool:
    """Whether the service hears and answers again, over its ``connects``-th connection."""
    status = service.link.status()
    return service.link.stats().connects >= connects and status.hearing and status.subscribed


SERVED = {"statuses": [200, 200], "hits": 1, "fast_path": True}
"""Of two gets: both answered, the second from the cache, on the fast path."""


async def answers(
    server: NatsServer, store: Store, instance: str, nats: dict[str, Any], **peer: Any
) -> dict[str, Any]:
    """How a service with these settings serves a peer that connects so."""
    settings = settings_of(server.url, store.uri, store.database, instance, nats=nats)
    async with serving(settings) as service, connected(server.url, **peer) as client:
        statuses = [(await ask(client, instance))["statusCode"] for _ in range(2)]
        hits, fast_path = count(service, "hits"), service.link.status().fast_path
        return {"statuses": statuses, "hits": hits, "fast_path": fast_path}


# --- who we are
async def test_user_and_password(tmp_path: Path, store: Store, instance_name: str) -> None:
    server = start_nats(tmp_path, config_lines=["authorization { user: u, password: p }"])
    mine = {"user": "u", "password": "p"}
    assert await answers(server, store, instance_name, mine, **mine) == SERVED
    server.stop()


async def test_user_and_password_in_the_url(tmp_path: Path, store: Store, instance_name: str) -> None:
    server = start_nats(tmp_path, config_lines=["authorization { user: u, password: p }"])
    urls = [server.url.replace("//", "//u:p@")]
    assert await answers(server, store, instance_name, {"servers": urls}, user="u", password="p") == SERVED
    server.stop()


async def test_a_token(tmp_path: Path, store: Store, instance_name: str) -> None:
    server = start_nats(tmp_path, config_lines=["authorization { token: t0k }"])
    assert await answers(server, store, instance_name, {"token": "t0k"}, token="t0k") == SERVED
    server.stop()


async def test_an_nkey(tmp_path: Path, store: Store, instance_name: str) -> None:
    key = new_key("user")
    (tmp_path / "seed").write_text(key.seed)
    server = start_nats(
        tmp_path / "nats", config_lines=[f"authorization {{ users: [ {{ nkey: {key.public} }} ] }}"]
    )
    mine = {"nkey_seed_file": str(tmp_path / "seed")}
    assert await answers(server, store, instance_name, mine, nkeys_seed=str(tmp_path / "seed")) == SERVED
    server.stop()


async def test_a_credentials_file(tmp_path: Path, store: Store, instance_name: str) -> None:
    lines, credentials = operator_mode(tmp_path)
    server = start_nats(tmp_path / "nats", config_lines=lines)
    mine = {"credentials_file": str(credentials)}
    assert await answers(server, store, instance_name, mine, user_credentials=str(credentials)) == SERVED
    server.stop()


async def test_wrong_credentials_are_tried_on_and_told(
    tmp_path: Path, store: Store, instance_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start_nats(tmp_path, config_lines=["authorization { user: u, password: right }"])
    mine = {"user": "u", "password": "wrong-one"}
    settings = settings_of(server.url, store.uri, store.database, instance_name, nats=mine)
    async with started(settings) as service:
        connects = 0

        def tried() -> int:
            nonlocal connects
            session = service.link._session
            connects = 0 if session is None else sum(s.reconnects for s in session.client.server_pool)
            return connects

        await until(lambda: tried() >= 3)
        assert not service.link.ready.is_set()
        assert service.health.report().reasons["nats"] == "not connected"
        server.reload(["authorization { user: u, password: wrong-one }"])
        await asyncio.wait_for(service.wait_ready(), 15)
    said = capsys.readouterr().out
    assert "authorization violation" in said.lower()
    assert "wrong-one" not in said
    server.stop()


# --- TLS
@pytest.mark.parametrize(("mutual", "first"), [(False, False), (False, True), (True, False), (True, True)])
async def test_tls(
    mutual: bool, first: bool, certificates: Certificates, tmp_path: Path, store: Store, instance_name: str
) -> None:
    lines = certificates.server_lines(mutual=mutual, first=first)
    server = start_nats(tmp_path / "nats", config_lines=lines)
    cert, key = certificates.issue("client", "client")
    tls: dict[str, Any] = {"ca_file": str(certificates.ca_file), "handshake_first": first}
    if mutual:
        tls |= {"cert_file": str(cert), "key_file": str(key)}
    settings = settings_of(server.url, store.uri, store.database, instance_name, nats={"tls": tls})
    async with serving(settings) as service:
        session = service.link._session
        assert session is not None
        context = session.client.options["tls"]
        async with connected(server.url, tls=context, tls_handshake_first=first) as peer:
            many = await asyncio.gather(*(ask(peer, instance_name) for _ in range(300)))
            assert {one["statusCode"] for one in many} == {200}
            assert service.link.status().fast_path
            server.restart()
            await until(lambda: back(service, 2))
            await until(lambda: peer.is_connected)
            assert (await ask(peer, instance_name))["statusCode"] == 200
    server.stop()


async def test_a_server_whose_certificate_is_not_trusted_is_left_alone(
    certificates: Certificates, tmp_path: Path, store: Store, instance_name: str
) -> None:
    server = start_nats(tmp_path / "nats", config_lines=certificates.server_lines())
    (tmp_path / "other").mkdir()
    other = Certificates(tmp_path / "other")
    nats = {"tls": {"ca_file": str(other.ca_file)}}
    settings = settings_of(server.url, store.uri, store.database, instance_name, nats=nats)
    async with started(settings) as service:
        session = service.link._session

        def tried() -> bool:
            nonlocal session
            session = service.link._session
            return session is not None and sum(s.reconnects for s in session.client.server_pool) >= 2

        await until(tried)
        assert not service.link.status().connected
    server.stop()


async def test_a_name_other_than_in_the_url(
    certificates: Certificates, tmp_path: Path, store: Store, instance_name: str
) -> None:
    cert, key = certificates.issue("named", "nats.example")
    lines = [f'tls {{ cert_file: "{cert}", key_file: "{key}" }}']
    server = start_nats(tmp_path / "nats", config_lines=lines)
    tls = {"ca_file": str(certificates.ca_file), "hostname": "nats.example"}
    settings = settings_of(server.url, store.uri, store.database, instance_name, nats={"tls": tls})
    async with serving(settings) as service:
        assert service.link.status().fast_path
    server.stop()


# --- coming back
async def test_a_server_that_comes_back_on_its_port(
    own_nats: NatsServer, store: Store, instance_name: str
) -> None:
    async with serving(settings_of(own_nats.url, store.uri, store.database, instance_name)) as service:
        for round_ in range(3):
            async with connected(own_nats.url) as peer:
                for _ in range(2):
                    assert (await ask(peer, instance_name))["statusCode"] == 200
            own_nats.kill()
            await until(lambda: not service.link.status().connected)
            assert service.health.report().status == "DOWN"
            own_nats.start()
            await until(lambda seen=round_ + 2: back(service, seen))  # type: ignore[misc]
        assert count(service, "hits") == 3, "a cache lives as long as its connection"


async def test_the_service_may_start_before_the_server(
    tmp_path: Path, store: Store, instance_name: str
) -> None:
    server = start_nats(tmp_path)
    server.stop()
    async with started(settings_of(server.url, store.uri, store.database, instance_name)) as service:
        session = service.link._session

        def tried() -> bool:
            nonlocal session
            session = service.link._session
            return session is not None and sum(s.reconnects for s in session.client.server_pool) >= 2

        await until(tried)
        server.start()
        await asyncio.wait_for(service.wait_ready(), 15)
        assert service.link.status().hearing
    server.stop()


async def test_one_of_several_servers(own_nats: NatsServer, store: Store, instance_name: str) -> None:
    nats = {"servers": ["nats://127.0.0.1:9", own_nats.url]}
    settings = settings_of(own_nats.url, store.uri, store.database, instance_name, nats=nats)
    async with serving(settings) as service:
        assert service.link.status().server == own_nats.url


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[NatsServer]]:
    first = start_nats(tmp_path / "a", cluster="c")
    second = start_nats(tmp_path / "b", cluster="c", routes=[first.route_url])
    yield [first, second]
    for server in (first, second):
        server.kill()  # one in lame duck mode takes its time to stop


async def _in_cluster(service: Service) -> None:
    session = service.link._session
    assert session is not None
    await until(lambda: len(session.client.servers) == 2, "gossip")


@pytest.mark.parametrize("leaving", ["dies", "lame duck"])
async def test_the_other_server_of_a_cluster(
    leaving: str, cluster: list[NatsServer], store: Store, instance_name: str
) -> None:
    first, second = cluster
    settings = settings_of(first.url, store.uri, store.database, instance_name, coherence={"settle": 0.1})
    async with serving(settings) as service, connected(second.url) as peer:
        await _in_cluster(service)
        assert service.link.status().server == first.url
        if leaving == "dies":
            first.kill()
        else:
            first.process.signal(signal.SIGUSR2)
        await until(lambda: back(service, 2) and service.link.status().server == second.url)
        assert (await ask(peer, instance_name))["statusCode"] == 200
        assert service.link.status().fast_path


# --- ends that nats-py does not come back from
@pytest.mark.parametrize("end", ["error", "too large", "read loop", "reconnecting"])
async def test_a_client_that_ended_for_good_is_replaced(
    end: str, own_nats: NatsServer, store: Store, instance_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Proxy(own_nats.port) as proxy,
        connected(own_nats.url) as peer,
        serving(settings_of(proxy.url, store.uri, store.database, instance_name)) as service,
    ):
        session = service.link._session
        assert session is not None
        if end == "error":
            # A protocol error: the server says -ERR and closes, and so does nats-py.
            session.client._transport.write(b"NONSENSE\r\n")  # type: ignore[union-attr]
        elif end == "too large":
            session.client._transport.write(b"PUB x 2000000\r\n")  # type: ignore[union-attr]
        elif end == "read loop":
            assert session.client._reading_task is not None
            session.client._reading_task.cancel()
        else:
            monkeypatch.setattr(session.client, "_connect_command", lambda: json.loads("no JSON"))
            proxy.cut()
        await until(lambda: service.link._session is not session and back(service, 2))
        assert (await ask(peer, instance_name))["statusCode"] == 200
        assert service.link.status().fast_path
