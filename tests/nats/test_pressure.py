"""Back-pressure, half-open connections, and answers that are ready while there is no connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from kaa_epr.embedded import MongoServer, NatsServer, start_nats
from kaa_epr.ending import Ending
from kaa_epr.messages import subjects
from kaa_epr.service import Service
from tests.nats.harness import Store, ask, connected, count, serving, settings_of
from tests.nats.procfs import rss
from tests.nats.secrets import Certificates
from tests.property.messages import Get
from tests.property.support import needs_rust
from tests.support.proxy import Proxy
from tests.support.waiting import until

pytestmark = [needs_rust, pytest.mark.faults]
MIB = 1024 * 1024
LIMIT = MIB
FEED = MIB + 64 * 1024
"""What one feed may add: FEED_OUTPUT_LIMIT, and the answer that crossed it."""
ASKED = 4000
"""Answers of 30 kB: 120 MB, far beyond every buffer between."""


class Watch:
    """The highest write buffer and memory seen while it runs."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._before = rss()
        self.buffer = self.grown = 0
        self._handle = asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self.buffer = max(self.buffer, self._service.link.stats().write_buffer_bytes)
        self.grown = max(self.grown, rss() - self._before)
        self._handle = asyncio.get_running_loop().call_later(0.005, self._look)

    def stop(self) -> None:
        self._handle.cancel()


@asynccontextmanager
async def behind_a_proxy(
    server: Any, store: Store, instance: str, ping_interval: float
) -> AsyncIterator[tuple[Service, Proxy, NatsClient]]:
    """A service whose connection to ``server`` the test can disturb, an endpoint of 30 kB, and one who asks.

    ``ping_interval`` in seconds.
    """
    store.put("big", text="x" * 30_000)
    nats = {"write_buffer_limit": LIMIT, "ping_interval": ping_interval, **server.nats}
    async with (
        Proxy(server.port) as proxy,
        serving(settings_of(proxy.url, store.uri, store.database, instance, nats=nats)) as service,
        connected(server.url, **peer_options(service)) as peer,
    ):
        try:
            yield service, proxy, peer
        finally:
            proxy.go_on()
            for direction in ("to_server", "to_client"):
                proxy.throttle(direction, 0)


async def still(value: Callable[[], int]) -> None:
    """Until ``value`` has not changed for a while: the kernels have taken what they take.

    A while is a number of looks, each a turn of the loop: on a busy machine time passes without any progress.
    """
    last, looks = value(), 0

    def unchanged() -> bool:
        nonlocal last, looks
        looks = looks + 1 if value() == last else 0
        last = value()
        return looks >= 100

    await until(unchanged)


class Requester:
    """Asks for the large endpoint many times and counts what comes back."""

    def __init__(self) -> None:
        self.got = 0

    async def hear(self, msg: Msg) -> None:
        assert len(msg.data) > 30_000
        self.got += 1

    async def ask(self, peer: Any, instance: str, number: int) -> None:
        inbox = peer.new_inbox()
        await peer.subscribe(inbox, cb=self.hear)
        payload = Get(endpoint_id="big").encode()
        subject = subjects.metadata_get_request(instance)
        for _ in range(number):
            await peer.publish(subject, payload, reply=inbox)
        await peer.flush()


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    certificates = Certificates(tmp_path)
    lines = certificates.server_lines() if request.param else []
    made = start_nats(tmp_path / "nats", config_lines=lines)
    made.nats = {"tls": {"ca_file": str(certificates.ca_file)}} if request.param else {}  # type: ignore[attr-defined]
    yield made
    made.stop()


def peer_options(service: Service) -> dict[str, Any]:
    session = service.link._session
    assert session is not None
    return {"tls": session.client.options["tls"]} if "tls" in session.client.options else {}


async def test_a_server_that_does_not_read_stops_us_reading(
    server: Any, store: Store, instance_name: str
) -> None:
    """Nothing is lost, memory stays within the bound, all goes on when it reads again."""
    # Slow liveness: this is about memory, not about leaving.
    async with behind_a_proxy(server, store, instance_name, 60) as (service, proxy, peer):
        assert (await ask(peer, instance_name, "big"))["statusCode"] == 200
        requester, watch = Requester(), Watch(service)
        proxy.stop_forwarding("to_server")
        await requester.ask(peer, instance_name, ASKED)
        await until(lambda: watch.buffer > LIMIT, "the write buffer fills")
        await still(lambda: count(service, "answers_200"))
        answered = count(service, "answers_200")
        session = service.link._session
        wire = session.fast._transport._wire if session and session.fast._transport else None
        assert wire is not None
        assert not wire._reading
        read = wire.bytes_read
        await peer.flush()
        assert (wire.bytes_read, count(service, "answers_200")) == (read, answered), "it reads no more"
        assert answered < ASKED
        assert watch.buffer <= (LIMIT + FEED) * (2 if server.nats else 1)
        proxy.go_on()
        await until(lambda: requester.got == ASKED, "everything is answered", 30)
        watch.stop()
        assert watch.grown < 48 * MIB, "the proxy's and the requester's buffers included"
        assert service.link.stats().disconnects == 0


async def test_slow_is_not_dead(server: Any, store: Store, instance_name: str) -> None:
    """While the peer takes bytes the connection stays, however long the buffer is full."""
    async with behind_a_proxy(server, store, instance_name, 0.2) as (service, proxy, peer):
        await ask(peer, instance_name, "big")
        proxy.throttle("to_server", 2 * MIB)
        requester, begun = Requester(), time.monotonic()
        await requester.ask(peer, instance_name, 400)
        await until(lambda: requester.got >= 200, "half of it", 30)
        assert time.monotonic() - begun > 6 * 0.2, "slow enough to be taken for dead"
        proxy.throttle("to_server", 0)
        await until(lambda: requester.got == 400, "all of it", 30)
        assert service.link.stats().disconnects == 0


@pytest.mark.parametrize("full", [False, True], ids=["idle", "full write buffer"])
async def test_a_half_open_connection_is_left(
    full: bool, server: Any, store: Store, instance_name: str
) -> None:
    async with behind_a_proxy(server, store, instance_name, 0.3) as (service, proxy, peer):
        await ask(peer, instance_name, "big")
        if full:
            proxy.stop_forwarding("to_server")
            await Requester().ask(peer, instance_name, ASKED)
            await until(lambda: service.link.stats().write_buffer_bytes > LIMIT)
        proxy.stop_forwarding()
        begun = time.monotonic()
        await until(lambda: service.link.stats().disconnects == 1, "the connection is left")
        assert time.monotonic() - begun < 3 * 0.3 + 0.5 + 1.0, "three looks, the abort, a busy machine"
        proxy.go_on()
        await until(lambda: service.link.stats().connects == 2 and service.link.status().hearing)
        assert (await ask(peer, instance_name, "big"))["statusCode"] == 200


async def test_a_stop_does_not_wait_for_a_half_open_connection(
    server: Any, store: Store, instance_name: str
) -> None:
    async with behind_a_proxy(server, store, instance_name, 0.3) as (service, proxy, peer):
        await ask(peer, instance_name, "big")
        proxy.stop_forwarding("to_server")
        await Requester().ask(peer, instance_name, ASKED)
        await until(lambda: service.link.stats().write_buffer_bytes > LIMIT)
        begun = time.monotonic()
        await service.drain()
        assert time.monotonic() - begun < 10
        service.drain = _nothing  # type: ignore[method-assign]


async def _nothing(ending: Ending | None = None) -> bool:
    """It has drained."""
    return ending is None


# --- held answers
@asynccontextmanager
async def held(
    nats_server: NatsServer, mongod: MongoServer, store: Store, instance: str, number: int, **groups: Any
) -> AsyncIterator[tuple[Service, Proxy, Requester, Any]]:
    """``number`` gets whose load ended while the connection to NATS was down; nothing is sent yet."""
    for one in range(number):
        store.put(f"h-{one}", text="x" * 30_000)
    async with (
        Proxy(nats_server.port) as wire,
        Proxy(mongod.port) as mongo,
        connected(nats_server.url) as peer,
    ):
        uri = f"mongodb://127.0.0.1:{mongo.listens_on}/?directConnection=true"
        settings = settings_of(wire.url, uri, store.database, instance, store={"timeout": 20}, **groups)
        async with serving(settings) as service:
            await ask(peer, instance)
            mongo.stop_forwarding()
            requester, inbox = Requester(), peer.new_inbox()
            await peer.subscribe(inbox, cb=requester.hear)
            timeout = int(groups.get("get_timeout", 0))
            now = time.time_ns() // 1_000_000
            for one in range(number):
                get = Get(endpoint_id=f"h-{one}", timestamp=now, timeout=timeout)
                await peer.publish(subjects.metadata_get_request(instance), get.encode(), reply=inbox)
            await until(lambda: service.engine.pending() == number)
            real, wire.port = wire.port, 9
            wire.cut()
            await until(lambda: not service.link.status().connected)
            mongo.go_on()
            await until(lambda: service.engine.pending() == 0)
            yield service, wire, requester, real


async def test_answers_wait_for_the_next_connection(
    nats_server: NatsServer, mongod: MongoServer, store: Store, instance_name: str
) -> None:
    responder = {"held_max_age": 30.0}
    async with held(nats_server, mongod, store, instance_name, 3, responder=responder) as scene:
        service, wire, requester, port = scene
        assert count(service, "held_bytes") > 90_000
        wire.port = port
        await until(lambda: requester.got == 3)
        assert (count(service, "held_bytes"), count(service, "held_dropped")) == (0, 0)


async def test_answers_are_held_within_bounds(
    nats_server: NatsServer, mongod: MongoServer, store: Store, instance_name: str
) -> None:
    responder = {"held_max_age": 30.0, "max_held_bytes": 70_000}
    async with held(nats_server, mongod, store, instance_name, 5, responder=responder) as scene:
        service, wire, requester, port = scene
        assert count(service, "held_dropped") == 3
        wire.port = port
        await until(lambda: requester.got == 2)


async def test_answers_whose_time_has_passed_are_dropped(
    nats_server: NatsServer, mongod: MongoServer, store: Store, instance_name: str
) -> None:
    responder = {"held_max_age": 0.2}
    async with held(nats_server, mongod, store, instance_name, 3, responder=responder) as scene:
        service, wire, requester, port = scene
        await until(lambda: count(service, "held_dropped") == 3)
        assert count(service, "held_bytes") == 0
        wire.port = port
        await until(lambda: service.link.stats().connects == 2 and service.link.status().hearing)
        assert requester.got == 0
