"""The core in nats-py's read path, on a real server: what it takes, and what it leaves alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from nats.aio.msg import Msg

from kaa_epr.embedded import NatsServer
from kaa_epr.engine.api import Kind
from kaa_epr.nats.callbacks import Callbacks
from kaa_epr.nats.session import Session
from kaa_epr.service import Service
from tests.nats.harness import Store, ask, ask_raw, connected, count, serving, settings_of
from tests.property.messages import Get
from tests.property.support import needs_rust, response
from tests.support.proxy import Proxy
from tests.support.waiting import DEADLINE, until

pytestmark = needs_rust
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def callbacks_run(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Filled whenever a get reaches nats-py's callback."""
    seen: list[str] = []
    original = Callbacks.request

    def noting(self: Callbacks, kind: Kind) -> Callable[[Msg], Awaitable[None]]:
        handle = original(self, kind)

        async def noted(msg: Msg) -> None:
            seen.append(msg.subject)
            await handle(msg)

        return noted

    monkeypatch.setattr(Callbacks, "request", noting)
    return seen


@pytest.fixture
async def service(
    callbacks_run: list[str], nats_server: NatsServer, store: Store, instance_name: str
) -> AsyncIterator[Service]:
    async with serving(settings_of(nats_server.url, store.uri, store.database, instance_name)) as running:
        yield running


def session_of(service: Service) -> Session:
    session = service.link._session
    assert session is not None
    return session


async def test_hits_are_answered_by_the_core_alone(
    service: Service, callbacks_run: list[str], nats_server: NatsServer, instance_name: str
) -> None:
    async with connected(nats_server.url) as peer:
        answers = [await ask(peer, instance_name) for _ in range(5)]
        assert [one["statusCode"] for one in answers] == [200] * 5
        assert answers[0]["payload"] == b'{"model":"m1","n":1}'
        many = await asyncio.gather(*(ask(peer, instance_name) for _ in range(2000)))
    assert {one["payload"] for one in many} == {b'{"model":"m1","n":1}'}
    assert (count(service, "hits"), count(service, "misses")) == (2004, 1)
    assert callbacks_run == []
    assert service.link.status().fast_path
    assert service.link.status().fast_path_reason is None


async def test_a_trace_context_comes_back(
    service: Service, nats_server: NatsServer, instance_name: str
) -> None:
    async with connected(nats_server.url) as peer:
        for _ in ("a load", "a hit"):
            headers = {"traceparent": TRACE, "other": "1"}
            answer = await ask_raw(peer, instance_name, Get().encode(), headers=headers)
            assert answer.headers == {"traceparent": TRACE}
            assert response(answer.data)["statusCode"] == 200
        assert (await ask_raw(peer, instance_name, Get().encode())).headers is None


@pytest.mark.parametrize("piece", [1, 7, 40])
async def test_frames_split_at_any_byte(
    piece: int, nats_server: NatsServer, store: Store, instance_name: str
) -> None:
    async with Proxy(nats_server.port, piece=piece) as proxy, connected(nats_server.url) as peer:
        settings = settings_of(proxy.url, store.uri, store.database, instance_name)
        async with serving(settings) as service:
            payload = Get(include=("n",)).encode()
            headers = {"traceparent": TRACE}
            answers = await asyncio.gather(
                *(
                    ask_raw(peer, instance_name, payload, headers=headers if i % 2 else None)
                    for i in range(50)
                )
            )
            assert {response(answer.data)["payload"] for answer in answers} == {b'{"n":1}'}
            assert [answer.headers == headers for answer in answers] == [bool(i % 2) for i in range(50)]
            assert count(service, "requests") == 50


async def test_a_connection_cut_in_the_middle_of_a_frame_begins_anew(
    nats_server: NatsServer, store: Store, instance_name: str
) -> None:
    async with (
        Proxy(nats_server.port) as proxy,
        connected(nats_server.url) as peer,
        serving(settings_of(proxy.url, store.uri, store.database, instance_name)) as service,
    ):
        proxy.piece = 5
        half = asyncio.ensure_future(ask(peer, instance_name))
        seen = proxy.to_client
        await until(lambda: proxy.to_client >= seen + 20)
        proxy.cut()
        proxy.piece = None
        await until(lambda: service.link.stats().connects == 2 and service.link.status().hearing)
        assert (await ask(peer, instance_name))["statusCode"] == 200
        half.cancel()


async def test_large_requests_come_whole(
    service: Service, nats_server: NatsServer, instance_name: str
) -> None:
    names = tuple(f"field-{number}-{'x' * 80}" for number in range(10_000))
    async with connected(nats_server.url) as peer:
        answer = await ask(peer, instance_name, include=("n", *names))
        assert answer["payload"] == b'{"n":1}'


async def test_nats_py_goes_on_as_usual_on_the_same_connection(
    service: Service, nats_server: NatsServer, instance_name: str
) -> None:
    """Subscriptions, request-reply, flush and statistics of others on the client that carries the gets."""
    client = session_of(service).client
    heard: list[bytes] = []

    async def hear(msg: Msg) -> None:
        heard.append(msg.data)
        if msg.reply:
            await msg.respond(b"echo " + msg.data)

    subscription = await client.subscribe(f"other.{instance_name}", cb=hear)
    before = dict(client.stats)
    async with connected(nats_server.url) as peer:
        await client.flush()
        for _ in range(100):
            await ask(peer, instance_name)
            await peer.publish(f"other.{instance_name}", b"a\r\nPING\r\n")
        assert (await peer.request(f"other.{instance_name}", b"?", timeout=DEADLINE)).data == b"echo ?"
        assert (await client.request(f"other.{instance_name}", b"!", timeout=DEADLINE)).data == b"echo !"
    assert heard == [b"a\r\nPING\r\n"] * 100 + [b"?", b"!"]
    moved = {key: client.stats[key] - before[key] for key in ("in_msgs", "out_msgs", "errors_received")}
    assert moved == {"in_msgs": 103, "out_msgs": 3, "errors_received": 0}
    await subscription.unsubscribe()
    await client.flush()
    assert await client.rtt() < DEADLINE
    assert client.is_connected


async def test_what_nats_py_reads_is_bounded_too(
    service: Service, nats_server: NatsServer, instance_name: str
) -> None:
    """Its own messages come in wire order and whole, in sizes beyond every buffer."""
    client = session_of(service).client
    subscription = await client.subscribe(f"bulk.{instance_name}")
    await client.flush()
    async with connected(nats_server.url) as peer:
        bodies = [bytes([number]) * 900_000 for number in range(30)]
        for body in bodies:
            await peer.publish(f"bulk.{instance_name}", body)
        got = [(await subscription.next_msg(timeout=DEADLINE)).data for _ in bodies]
    assert got == bodies
