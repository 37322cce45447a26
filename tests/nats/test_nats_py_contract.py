"""What ``wire/internals.py`` takes for granted of nats-py, shown for the one that is installed."""

from __future__ import annotations

import asyncio
import importlib.metadata
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport, Transport
from packaging.requirements import Requirement

from kaa_epr.embedded import NatsServer
from kaa_epr.nats import internals
from kaa_epr.nats.flushing import ConnectionLost, confirmed_flush, stop_subscriptions
from tests.support.proxy import Proxy
from tests.support.waiting import until

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


class Recorder(TcpTransport):
    """nats-py's own transport, with what it is told noted down."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.written: list[bytes] = []
        self.reads = 0

    def __bool__(self) -> bool:
        return True

    def write(self, payload: bytes) -> None:
        self.written.append(payload)
        super().write(payload)  # type: ignore[no-untyped-call]

    def writelines(self, payload: list[bytes]) -> None:
        self.written.extend(payload)
        super().writelines(payload)  # type: ignore[no-untyped-call]

    async def read(self, buffer_size: int) -> bytes:
        self.reads += 1
        data: bytes = await super().read(buffer_size)
        return data


@pytest.fixture
async def proxy(nats_server: NatsServer) -> AsyncIterator[Proxy]:
    async with Proxy(nats_server.port) as made:
        yield made


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def client(proxy: Proxy, recorder: Recorder) -> AsyncIterator[Client]:
    made = Client()
    internals.set_transport(made, recorder)
    await made.connect(proxy.url, reconnect_time_wait=0, max_reconnect_attempts=-1, error_cb=ignore)
    yield made
    await made.close()


async def ignore(error: Exception) -> None:
    """Connections are cut here on purpose."""


async def hear(msg: Msg) -> None:
    """A callback that does nothing."""


def test_the_installed_version_is_in_the_pinned_range() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    (pinned,) = (r for r in map(Requirement, project["dependencies"]) if r.name == "nats-py")
    assert {spec.operator for spec in pinned.specifier} == {">=", "<"}
    assert pinned.specifier.contains(importlib.metadata.version("nats-py"))


def test_the_transport_interface_is_the_one_we_implement() -> None:
    assert Transport.__abstractmethods__ == {
        *("connect", "connect_tls", "read", "readline", "write", "writelines", "drain"),
        *("close", "wait_closed", "at_eof", "__bool__"),
    }


async def test_a_transport_that_is_true_is_kept(client: Client, recorder: Recorder) -> None:
    assert internals.supported(Client())
    assert not internals.supported(client)
    await client.flush()
    assert internals.transport_of(client) is recorder
    assert recorder.reads > 0
    assert internals.server_info(client)["max_payload"] == client.max_payload
    assert internals.socket_transport(client) is not None


async def test_there_is_no_transport_before_connecting() -> None:
    with pytest.raises(ConnectionResetError):
        internals.transport_of(Client())
    assert internals.socket_transport(Client()) is None
    await internals.close(Client())


async def test_subscriptions_are_made_again_in_order_with_their_numbers(
    client: Client, recorder: Recorder, proxy: Proxy
) -> None:
    first, gone, queued = [
        await client.subscribe(subject, queue=queue, cb=hear)
        for subject, queue in (("a.x", ""), ("a.gone", ""), ("a.y", "group"))
    ]
    sids = [internals.sid_of(one) for one in (first, queued)]
    assert sids == [1, 3]
    await confirmed_flush(client)
    internals.forget(client, gone)
    recorder.written.clear()
    proxy.cut()
    await until(lambda: client.stats["reconnects"] == 1 and client.is_connected)
    wire = b"".join(recorder.written)
    subs = [line for line in wire.split(b"\r\n") if line.startswith(b"SUB")]
    assert subs == [b"SUB a.x  1", b"SUB a.y group 3"]
    assert [internals.sid_of(one) for one in (first, queued)] == sids
    assert wire.index(b"SUB a.y") < wire.rindex(b"PING"), "the flush of a reconnect lies behind them"


async def test_a_ping_overtakes_what_is_pending(client: Client, recorder: Recorder) -> None:
    await client.flush()
    recorder.written.clear()
    client._pending.append(b"PUB late 0\r\n\r\n")
    client._pending_data_size += 14
    await (await internals.send_ping(client))
    assert b"".join(recorder.written).startswith(b"PING\r\nPUB late"), "why flush() alone confirms nothing"


async def test_a_confirmed_flush_lies_behind_what_was_sent(client: Client, recorder: Recorder) -> None:
    await client.subscribe("b.x", cb=hear)
    await confirmed_flush(client)
    wire = b"".join(recorder.written)
    assert wire.index(b"SUB b.x") < wire.rindex(b"PING")
    assert internals.pongs_received(client) >= 2


async def test_a_confirmed_flush_fails_with_its_connection(client: Client, proxy: Proxy) -> None:
    lost = asyncio.Event()
    proxy.stop_forwarding("to_client")
    flushing = asyncio.ensure_future(confirmed_flush(client, lost, 60))
    sent = proxy.to_server
    await until(lambda: proxy.to_server > sent or flushing.done())
    lost.set()
    with pytest.raises(ConnectionLost):
        await flushing


async def test_a_late_pong_harms_nobody_when_the_wait_was_given_up(client: Client, proxy: Proxy) -> None:
    """nats-py's own flush would cancel the future, and the PONG that comes then ends the read loop."""
    proxy.stop_forwarding("to_client")
    with pytest.raises(Exception, match="flush timeout"):
        await confirmed_flush(client, None, 0.05)
    proxy.go_on()
    await confirmed_flush(client)
    assert internals.dead(client) is None


async def test_an_unsubscribed_subscription_still_hands_on_what_was_on_its_way(client: Client) -> None:
    seen: list[bytes] = []
    hold = asyncio.Event()

    async def slow(msg: Msg) -> None:
        await hold.wait()
        seen.append(msg.data)

    subscription = await client.subscribe("c.x", cb=slow)
    for number in range(10):
        await client.publish("c.x", b"%d" % number)
    await confirmed_flush(client)
    stopping = asyncio.ensure_future(stop_subscriptions(client, [subscription]))
    hold.set()
    await stopping
    assert len(seen) == 10
    await client.publish("c.x", b"late")
    await confirmed_flush(client)
    assert len(seen) == 10


async def test_the_dead_are_told_from_the_living(client: Client) -> None:
    assert internals.dead(client) is None
    reading: asyncio.Task[Any] | None = client._reading_task
    assert reading is not None
    reading.cancel()
    await asyncio.wait({reading})
    assert internals.dead(client) == "read loop ended"
    await client.close()
    assert internals.dead(client) == "client closed"


async def test_an_exception_while_reconnecting_ends_it_for_good(client: Client, proxy: Proxy) -> None:
    def broken(*_: object) -> bytes:
        raise RuntimeError("as a seed file that holds no seed does")

    client._connect_command = broken  # type: ignore[method-assign]
    proxy.cut()
    await until(lambda: internals.dead(client) is not None)
    assert "reconnecting ended with RuntimeError" in (internals.dead(client) or "")


async def test_pending_messages_are_those_no_callback_has_begun(client: Client) -> None:
    """Rule 1 on the callback path stands on this: popped and begun is one step."""
    states: list[int] = []

    async def look(msg: Msg) -> None:
        states.append(subscription.pending_msgs)
        await asyncio.sleep(0)

    subscription = await client.subscribe("d.x", cb=look)
    await client.publish("d.x", b"1")
    await client.publish("d.x", b"2")
    await confirmed_flush(client)
    await internals.handled(subscription)
    assert states[-1] == 0
    assert subscription.pending_msgs == 0
