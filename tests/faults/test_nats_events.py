"""Events that do not arrive as they should. The load and its judge run throughout."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from kaa_epr.embedded import NatsServer
from kaa_epr.messages import subjects
from tests.faults.scene import EVENT_LOST, LOSSY, Scene
from tests.support.fleet import ENGINES, Fleet
from tests.support.judge import Allowance
from tests.support.proxy import Proxy
from tests.support.raw_nats import RawNats
from tests.support.writers import BulkWriter

pytestmark = pytest.mark.faults

LOST: Final = Allowance(acknowledged=EVENT_LOST, seen=EVENT_LOST)
BULK_EVENT: Final = subjects.metadata_updated("bulk")


def is_bulk_event(subject: str) -> bool:
    return subject == BULK_EVENT


@pytest.mark.parametrize("engine", ["fast", "pure"])
async def test_a_lost_event_is_noticed(engine: str, server: NatsServer, scene: Scene) -> None:
    """By the next message of its writer, or, being the last one before silence, by the silence."""
    scene.getter(server.url, alone=True)
    writer = scene.bulk(server.url)
    async with (
        Proxy(server.port, understands_nats=True) as link,
        Fleet([scene.replica(link.url, ENGINES[engine])]) as fleet,
        scene.checked_load(LOST),
    ):
        await scene.settled(fleet)
        await link.lose("to_client", is_bulk_event, times=5).happened.wait()
        await fleet[0].until_metric("flushes_total:hole", 1)
        await scene.settled(fleet)
        await link.repeat("to_client", is_bulk_event, times=5).happened.wait()
        await fleet[0].until_metric("events_late_total", 5)
        await scene.settled(fleet)
        silences = await fleet[0].metric("flushes_total:heartbeat")
        await lose_the_last(link, writer)
        await fleet[0].until_metric("flushes_total:heartbeat", silences + 1)
        assert await fleet[0].metric("coherent") == 0
        await scene.getters[0].more(300)


async def lose_the_last(link: Proxy, writer: BulkWriter) -> None:
    """The writer falls silent, as if killed, behind an event that is lost."""
    told = ("kaa.v1.events.bulk.", "kaa.v1.coherence.bulk.")
    link.lose("to_client", lambda subject: subject.startswith(told), times=1_000_000)
    await writer.more(1)
    await writer.die()


async def test_an_event_that_does_not_decode_costs_the_cache_and_nothing_else(
    server: NatsServer, scene: Scene
) -> None:
    scene.getter(server.url, alone=True)
    scene.bulk(server.url)
    async with Fleet([scene.replica(server.url)]) as fleet, scene.checked_load():
        await scene.settled(fleet)
        client = await RawNats.connected(server.url)
        for number in range(1, 6):
            client.publish(subjects.metadata_updated("somebody"), b"\xff\xff\xff")
            await fleet[0].until_metric("flushes_total:undecodable_event", number)
            await scene.steady(answers=50, writes=5)
        client.close()
        await scene.settled(fleet)


async def test_a_replica_that_hears_nobody_is_found_out(server: NatsServer, scene: Scene) -> None:
    """The judge at work: without its events, a real replica is caught answering what is old."""
    scene.getter(server.url, alone=True)
    scene.bulk(server.url)
    deaf = {"invalidation": {"originators": ["nobody"]}}
    async with Fleet([scene.replica(server.url, deaf)]):
        with pytest.raises(AssertionError, match="after newer was acknowledged"):
            async with scene.checked_load():
                await scene.steady(answers=500)


def permissions(denied: str) -> list[str]:
    """A server that refuses user ``replica`` one subject, and nobody else anything."""
    deny = f'permissions: {{ subscribe: {{ deny: "{denied}" }} }}' if denied else ""
    users = f"{{ user: replica, password: secret, {deny} }}, {{ user: load, password: load }}"
    return [f"authorization {{ users: [ {users} ] }}", "no_auth_user: load"]


async def test_without_ears_every_get_is_loaded(tmp_path: Path, scene: Scene) -> None:
    """Subscriptions refused: not ready, but what is answered is right; and allowed again, all is well."""
    mine = {"nats": {"user": "replica", "password": "secret"}}
    with NatsServer(tmp_path / "users", config_lines=permissions("kaa.v1.events.>")) as server:
        scene.getter(server.url, alone=True)
        scene.bulk(server.url)
        replica = scene.replica(server.url, mine)
        await replica.start(ready=False)
        try:
            async with scene.checked_load(LOSSY):  # taking over permissions, the server drops its clients
                await scene.steady()
                assert await replica.metric("cache_hits_total") == 0
                assert await replica.metric("link_ears") == 0
                server.reload(permissions(""))
                await scene.settled([replica])
                await replica.until_metric("cache_hits_total", 1)
        finally:
            await replica.kill()
