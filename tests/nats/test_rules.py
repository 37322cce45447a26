"""Coherence rules 1 to 4, on a real server: each test fails when its rule is taken out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client as NatsClient

from kaa_epr.embedded import NatsServer, start_nats
from kaa_epr.engine.api import Kind
from kaa_epr.messages import subjects
from kaa_epr.service import Service
from tests.nats.harness import Store, ask, connected, count, serving, settings_of, started
from tests.property.messages import Get, event_payload
from tests.property.support import needs_rust, response
from tests.support.waiting import until

PATHS = [
    pytest.param({"engine": "rust"}, id="fast", marks=needs_rust),
    pytest.param({"engine": "rust", "nats": {"fast_path": "off"}}, id="callbacks", marks=needs_rust),
    pytest.param({"engine": "pure"}, id="pure"),
]
CALLBACK_PATHS = PATHS[1:]
UPDATED = subjects.metadata_updated("somebody")


@pytest.fixture
async def peer(nats_server: NatsServer) -> AsyncIterator[NatsClient]:
    async with connected(nats_server.url) as made:
        yield made


def settings(server: NatsServer, store: Store, instance: str, path: dict[str, Any]) -> dict[str, Any]:
    return settings_of(server.url, store.uri, store.database, instance, **path)


def publication(subject: str, payload: bytes, reply: str = "") -> bytes:
    return f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n"


async def events_heard(service: Service, peer: NatsClient, name: str, number: int) -> None:
    await peer.flush()
    await until(lambda: count(service, name) == number, name)


# --- rule 1
@pytest.mark.parametrize("path", PATHS)
async def test_a_get_behind_an_event_never_has_the_value_of_before(
    path: dict[str, Any], nats_server: NatsServer, store: Store, instance_name: str, peer: NatsClient
) -> None:
    """Event and gets in one write on one connection, so that they arrive in one chunk."""
    inbox = peer.new_inbox()
    replies = await peer.subscribe(inbox)
    await peer.flush()
    async with serving(settings(nats_server, store, instance_name, path)) as service:
        get = publication(subjects.metadata_get_request(instance_name), Get().encode(), inbox)
        for version in range(2, 102):
            for _ in ("a load", "a hit"):
                assert (await ask(peer, instance_name))["eTag"] == f'"{version - 1}"'
            store.put("e-1", version=version, n=version)
            event = publication(UPDATED, event_payload(Kind.METADATA_UPDATED, "e-1"))
            peer._transport.write(get + event + get + get)  # type: ignore[union-attr]
            answers = [response((await replies.next_msg(timeout=10)).data)["eTag"] for _ in range(3)]
            # The first get may be answered after the other two; it alone may have the old value.
            assert sum(tag == f'"{version}"' for tag in answers) >= 2, (version, answers)
        assert count(service, "invalidations_metadata_updated") == 100
        assert count(service, "hits") >= 100


# --- rule 3
@pytest.mark.parametrize("path", PATHS)
async def test_nothing_of_before_a_reconnect_is_served(
    path: dict[str, Any], tmp_path: Path, store: Store, instance_name: str
) -> None:
    server = start_nats(tmp_path)
    async with serving(settings(server, store, instance_name, path)) as service:
        async with connected(server.url) as peer:
            assert (await ask(peer, instance_name))["eTag"] == '"1"'
            assert count(service, "cache_entries") == 1
        server.kill()
        store.put("e-1", version=2)
        server.start()
        async with connected(server.url) as peer:
            await until(lambda: service.link.stats().connects == 2)
            await peer.flush()
            await until(lambda: service.link.status().connected)
            assert (await ask(peer, instance_name))["eTag"] == '"2"'
        assert count(service, "flushes_connection") >= 2
    server.stop()


@pytest.mark.parametrize("path", PATHS)
async def test_an_event_that_does_not_decode_empties_the_cache(
    path: dict[str, Any], nats_server: NatsServer, store: Store, instance_name: str, peer: NatsClient
) -> None:
    async with serving(settings(nats_server, store, instance_name, path)) as service:
        await ask(peer, instance_name)
        store.put("e-1", version=2)
        assert (await ask(peer, instance_name))["eTag"] == '"1"'
        await peer.publish(UPDATED, b"\xff\xff")
        await events_heard(service, peer, "events_undecodable", 1)
        assert (await ask(peer, instance_name))["eTag"] == '"2"'
        assert count(service, "flushes_undecodable_event") == 1


@pytest.mark.parametrize("path", CALLBACK_PATHS)
async def test_an_overflow_of_an_event_subscription_empties_the_cache(
    path: dict[str, Any], nats_server: NatsServer, store: Store, instance_name: str, peer: NatsClient
) -> None:
    async with serving(settings(nats_server, store, instance_name, path)) as service:
        await ask(peer, instance_name)
        session = service.link._session
        assert session is not None
        (updates,) = (
            s for subject, s in session.subscriptions._made.items() if "metadata.updated" in subject
        )
        updates._pending_queue._maxsize = 2  # type: ignore[attr-defined]
        store.put("e-1", version=2)
        others = [publication(UPDATED, event_payload(Kind.METADATA_UPDATED, f"o-{n}")) for n in range(50)]
        lost = publication(UPDATED, event_payload(Kind.METADATA_UPDATED, "e-1"))
        peer._transport.write(b"".join([*others, lost]))  # type: ignore[union-attr]
        await peer.flush()
        await until(lambda: count(service, "flushes_event_overflow") > 0)
        assert service.link.stats().overflow_events == count(service, "flushes_event_overflow")
        assert (await ask(peer, instance_name))["eTag"] == '"2"'


# --- rule 4
def permissions(denied: str) -> list[str]:
    """A server that refuses the service one subject, and its peer nothing."""
    deny = f'permissions: {{ subscribe: {{ deny: "{denied}" }} }}' if denied else ""
    return [
        f"authorization {{ users: [ {{ user: s, password: s, {deny} }}, {{ user: peer, password: peer }} ] }}"
    ]


MINE = {"user": "s", "password": "s"}


@pytest.mark.parametrize("path", PATHS)
async def test_no_cache_without_ears(
    path: dict[str, Any], tmp_path: Path, store: Store, instance_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start_nats(tmp_path, config_lines=permissions("kaa.v1.events.>"))
    groups = {**path, "nats": {**path.get("nats", {}), **MINE}}
    async with started(settings(server, store, instance_name, groups)) as service:
        await until(lambda: service.link._session is not None and service.link._session.opened)
        async with connected(server.url, user="peer", password="peer") as peer:
            for _ in range(3):
                assert (await ask(peer, instance_name))["statusCode"] == 200
        assert (count(service, "hits"), count(service, "coherent")) == (0, 0)
        assert not service.link.ready.is_set()
        assert service.health.report().reasons["events"] is not None
        assert not service.link.stats().ears
        server.reload(permissions(""))
        await until(service.link.ready.is_set)
        async with connected(server.url, user="peer", password="peer") as peer:
            for _ in range(2):
                assert (await ask(peer, instance_name))["statusCode"] == 200
        assert (count(service, "hits"), count(service, "coherent")) == (1, 1)
    assert "event subscriptions refused, the cache is not used" in capsys.readouterr().out
    server.stop()


async def test_permission_that_is_taken_away_closes_the_ears(
    tmp_path: Path, store: Store, instance_name: str
) -> None:
    server = start_nats(tmp_path, config_lines=permissions(""))
    groups: dict[str, Any] = {"nats": MINE}
    async with serving(settings(server, store, instance_name, groups)) as service:
        server.reload(permissions("kaa.v1.events.>"))
        await until(lambda: not service.link.status().hearing)
        async with connected(server.url, user="peer", password="peer") as peer:
            await until(lambda: service.link.status().connected)
            await ask(peer, instance_name)
            assert count(service, "coherent") == 0
    server.stop()


async def test_a_refused_request_subscription_is_not_ready_and_tried_again(
    tmp_path: Path, store: Store, instance_name: str
) -> None:
    server = start_nats(tmp_path, config_lines=permissions("kaa.v1.service.>"))
    groups: dict[str, Any] = {"nats": MINE}
    async with started(settings(server, store, instance_name, groups)) as service:
        await until(lambda: service.link.status().get_refused)
        assert not service.link.ready.is_set()
        assert service.health.report().reasons["requests"] is not None
        server.reload(permissions(""))
        await until(service.link.ready.is_set)
        async with connected(server.url, user="peer", password="peer") as peer:
            assert (await ask(peer, instance_name))["statusCode"] == 200
    server.stop()


async def test_a_refused_services_api_is_only_logged(
    tmp_path: Path, store: Store, instance_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start_nats(tmp_path, config_lines=permissions("$SRV.>"))
    groups: dict[str, Any] = {"nats": MINE}
    async with serving(settings(server, store, instance_name, groups)) as service:
        assert service.link.status().hearing
        async with connected(server.url, user="peer", password="peer") as peer:
            assert (await ask(peer, instance_name))["statusCode"] == 200
        await until(lambda: "refused a subscription" in capsys.readouterr().out)
    server.stop()
