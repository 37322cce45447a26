"""What networks and servers do to the connection of one replica, under load that is judged throughout.

On one NATS server a get that is answered at all shows what was acknowledged before it was sent, whatever
happened to the connection meanwhile: no staleness is allowed here.
"""

from __future__ import annotations

import random
from typing import Any, Final

import pytest

from kaa_epr.embedded import NatsServer
from kaa_epr.engine.api import Kind
from kaa_epr.messages import subjects
from tests.faults.conftest import QUICK_PINGS
from tests.faults.scene import LOSSY, Scene
from tests.property.messages import event_payload
from tests.support.fleet import ENGINES, Fleet, merged
from tests.support.proxy import Direction, Proxy
from tests.support.raw_nats import RawNats
from tests.support.waiting import until
from tests.support.writer import document

pytestmark = pytest.mark.faults

PATIENCE: Final = 3.0
"""Seconds for one get where many are lost."""


def engines(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("engine", names)


def loaded(scene: Scene, server: NatsServer, **getter: Any) -> None:
    """Load that does not depend on the link under test."""
    scene.getter(server.url, alone=True, patience=PATIENCE, **getter)
    scene.bulk(server.url)
    scene.foreign(server.url)


@engines("fast", "callbacks")
async def test_a_connection_cut_in_mid_frame(
    engine: str, server: NatsServer, scene: Scene, rng: random.Random
) -> None:
    loaded(scene, server)
    async with (
        Proxy(server.port) as link,
        Fleet([scene.replica(link.url, ENGINES[engine])]) as fleet,
        scene.checked_load(LOSSY),
    ):
        ways: tuple[Direction, ...] = ("to_client", "to_server")
        for direction in ways * 2:
            await fleet[0].until_coherent()
            accepted = link.accepted
            link.cut_after(direction, rng.randrange(1, 5_000))
            await link.was_cut.wait()
            await until(lambda accepted=accepted: link.accepted > accepted)  # type: ignore[misc]
        await scene.settled(fleet)
        assert await fleet[0].metric("link_disconnects_total") >= 4


@engines("fast", "pure")
async def test_a_half_open_link_is_left(engine: str, server: NatsServer, scene: Scene) -> None:
    loaded(scene, server)
    async with (
        Proxy(server.port) as link,
        Fleet([scene.replica(link.url, ENGINES[engine])]) as fleet,
        scene.checked_load(LOSSY),
    ):
        await scene.settled(fleet)
        link.freeze()
        await until(lambda: link.accepted > 1, "another connection")
        await scene.settled(fleet)
        assert fleet[0].logged("nats connection is dead, reconnecting") == 1


@engines("fast", "callbacks")
async def test_a_half_open_link_with_a_full_write_buffer_is_left(
    engine: str, server: NatsServer, scene: Scene
) -> None:
    """The server still sends, nothing we write comes through, and the buffers are soon full."""
    for endpoint_id in scene.bulk_ids:
        await scene.collection.replace_one({"_id": endpoint_id}, document(endpoint_id, pad=60_000))
    loaded(scene, server)
    small: dict[str, Any] = {"nats": {"write_buffer_limit": 64 * 1024}}
    async with (
        Proxy(server.port) as link,
        Fleet([scene.replica(link.url, merged(ENGINES[engine], small))]) as fleet,
        scene.checked_load(LOSSY),
    ):
        await scene.settled(fleet)
        link.freeze("to_server")
        await until(lambda: link.accepted > 1, "another connection")
        await scene.settled(fleet)


async def test_the_server_drops_a_slow_consumer(server: NatsServer, scene: Scene) -> None:
    """The process stands still, as on a starved machine, until the server will not wait any longer."""
    server.config_lines = ("max_payload: 32768", "max_pending: 65536", 'write_deadline: "1s"')
    server.restart()
    loaded(scene, server)
    async with Fleet([scene.replica(server.url)]) as fleet, scene.checked_load(LOSSY):
        await scene.settled(fleet)
        fleet[0].pause()
        await overwhelm(server)
        fleet[0].go_on()
        await fleet[0].until_metric("link_connects_total", 2)
        await scene.settled(fleet)


async def overwhelm(server: NatsServer) -> None:
    """Events as large as may be, until the kernels' buffers are full and the server's patience is over."""
    event = event_payload(Kind.METADATA_UPDATED, "somebody", tail=bytes(30_000))
    client = await RawNats.connected(server.url)

    async def dropped() -> bool:
        for _ in range(20):
            client.publish(subjects.metadata_updated("stock"), event)
        await client.round_trip()
        return any("Slow Consumer" in line for line in server.process.lines())

    await until(dropped, "a slow consumer")
    client.close()


async def test_a_slow_link_delays_and_ages_nothing(server: NatsServer, scene: Scene) -> None:
    """Gets queue up behind events in one stream: late answers, but none that is older than its get."""
    loaded(scene, server)
    async with (
        Proxy(server.port, piece=4_096) as link,
        Fleet([scene.replica(link.url)]) as fleet,
        scene.checked_load(LOSSY),
    ):
        await scene.settled(fleet)
        link.throttle("to_client", 20_000)
        await scene.steady(answers=100)
        link.throttle("to_client", 0)
        await scene.settled(fleet)


@engines("fast", "callbacks")
async def test_a_client_closed_for_a_publish_over_max_payload_is_replaced(
    engine: str, server: NatsServer, scene: Scene
) -> None:
    """The limit is lowered while connected; the client learns of it by breaking it."""
    await scene.collection.insert_one(document("large", pad=100_000))
    loaded(scene, server)
    async with Fleet([scene.replica(server.url, ENGINES[engine])]) as fleet, scene.checked_load(LOSSY):
        await scene.settled(fleet)
        server.reload([*QUICK_PINGS, "max_payload: 65536"])
        before = await fleet[0].metric("link_connects_total")
        client = await RawNats.connected(server.url)
        client.write(get(scene.instance, "large"))
        await fleet[0].until_metric("link_connects_total", before + 1)
        await scene.settled(fleet)
        client.write(get(scene.instance, "large"))
        await fleet[0].until_metric("answers_total:413", 1)
        client.close()


def get(instance: str, endpoint_id: str) -> bytes:
    """The frame of a get whose answer nobody listens to."""
    payload = b"\x02c\0\0" + bytes([2 * len(endpoint_id)]) + endpoint_id.encode() + b"\0\1"
    return b"PUB %b nobody %d\r\n%b\r\n" % (
        subjects.metadata_get_request(instance).encode(),
        len(payload),
        payload,
    )
