"""Messages larger than the core takes, and answers larger than the server takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client as NatsClient

from kaa_epr.embedded import NatsServer, start_nats
from kaa_epr.engine.api import Kind
from kaa_epr.messages import subjects
from kaa_epr.service import Service
from tests.flows.register_support import EpmmpCaller
from tests.nats.harness import Store, ask, connected, count, serving, settings_of
from tests.nats.test_rules import publication
from tests.property.messages import Get, event_payload
from tests.property.support import needs_rust, response
from tests.support.waiting import until

KIB = 1024
OLD, NEW = 64 * KIB, 1024 * KIB
"""``max_payload`` of the server when the service connects, and after it was raised."""
NAMES = tuple(f"{number:04}-{'k' * 2_000}" for number in range(100))
"""An include of 200 kB: between the two."""


@dataclass
class Stage:
    """A service that read ``max_payload`` before it was raised, and a peer that connected after."""

    service: Service
    peer: NatsClient
    instance: str
    store: Store

    def by_nats_py(self) -> int:
        """Messages that nats-py's own parser took from the service's connection."""
        session = self.service.link._session
        assert session is not None
        return session.client.stats["in_msgs"]

    def heard(self, number: int) -> bool:
        """Whether so many metadata events were applied."""
        return count(self.service, "invalidations_metadata_updated") == number

    async def settled(self) -> int:
        """As ``by_nats_py``, when nothing is on its way: after a get that only the core takes."""
        assert (await ask(self.peer, self.instance))["statusCode"] == 200
        return self.by_nats_py()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    started = start_nats(tmp_path / "nats", config_lines=[f"max_payload: {OLD}"])
    yield started
    started.stop()


@pytest.fixture(
    params=[
        pytest.param({}, id="fast", marks=needs_rust),
        pytest.param({"nats": {"fast_path": "off"}}, id="callbacks", marks=needs_rust),
        pytest.param({"engine": "pure"}, id="pure"),
    ]
)
def groups(request: pytest.FixtureRequest) -> dict[str, Any]:
    chosen: dict[str, Any] = request.param
    return chosen


@pytest.fixture
async def stage(
    groups: dict[str, Any], server: NatsServer, store: Store, instance_name: str
) -> AsyncIterator[Stage]:
    settings = settings_of(server.url, store.uri, store.database, instance_name, **groups)
    async with serving(settings) as service:
        server.reload([f"max_payload: {NEW}"])
        async with connected(server.url) as peer:
            assert peer.max_payload == NEW
            yield Stage(service, peer, instance_name, store)


async def test_a_request_larger_than_the_core_takes_is_answered_by_its_callback(stage: Stage) -> None:
    fast = stage.service.link.status().fast_path
    before = await stage.settled()
    for _ in ("not cached by nats-py's path", "but answered all the same"):
        answer = await ask(stage.peer, stage.instance, include=("model", *NAMES))
        assert (answer["statusCode"], answer["payload"]) == (200, b'{"model":"m1"}')
    answer = await ask(stage.peer, stage.instance, "none", include=NAMES)
    assert answer["statusCode"] == 404
    # All on the callback path; on the fast path the three large ones and not the get of ``settled``.
    assert await stage.settled() - before == (3 if fast else 4)
    assert stage.service.link.stats().disconnects == 0


async def test_the_stream_goes_on_behind_large_requests_in_any_mixture(stage: Stage) -> None:
    """Small gets behind a large one in the same chunk, and large ones cut by the chunks' ends."""
    includes = [(), ("model",), ("model", *NAMES), NAMES] * 8
    answers = await asyncio.gather(
        *(
            ask(stage.peer, stage.instance, include=names, correlation_id=str(number))
            for number, names in enumerate(includes)
        )
    )
    wanted = {(): b'{"model":"m1","n":1}', ("model",): b'{"model":"m1"}'}
    for number, (names, answer) in enumerate(zip(includes, answers, strict=True)):
        assert (answer["correlationId"], answer["statusCode"]) == (str(number), 200)
        assert answer["payload"] == wanted.get(names, b'{"model":"m1"}' if "model" in names else b"{}")
    assert count(stage.service, "requests") == len(includes)
    assert stage.service.link.stats().disconnects == 0


async def test_an_event_larger_than_the_core_takes_drops_the_entry(stage: Stage) -> None:
    assert (await ask(stage.peer, stage.instance))["payload"] == b'{"model":"m1","n":1}'
    stage.store.put("e-1", 2, model="m2")
    event = event_payload(Kind.METADATA_UPDATED, "e-1", b"x" * 2 * OLD)
    await stage.peer.publish(subjects.metadata_updated("any"), event)
    await stage.peer.flush()
    await until(lambda: count(stage.service, "invalidations_metadata_updated") == 1)
    assert (await ask(stage.peer, stage.instance))["payload"] == b'{"model":"m2"}'
    assert count(stage.service, "events_undecodable") == 0


@pytest.mark.parametrize("size", [2 * OLD, 10 * OLD])
async def test_a_get_behind_such_an_event_is_not_answered_from_before_it(stage: Stage, size: int) -> None:
    """On the fast path nats-py brings the event after the gets behind it were seen (rule 1)."""
    inbox = stage.peer.new_inbox()
    replies = await stage.peer.subscribe(inbox)
    await stage.peer.flush()
    transport = stage.peer._transport
    assert transport is not None
    get = publication(subjects.metadata_get_request(stage.instance), Get().encode(), inbox)
    event = publication(
        subjects.metadata_updated("any"), event_payload(Kind.METADATA_UPDATED, "e-1", b"x" * size)
    )
    for version in range(2, 12):
        for _ in ("loaded", "a hit"):
            assert (await ask(stage.peer, stage.instance))["eTag"] == f'"{version - 1}"'
        stage.store.put("e-1", version, n=version)
        transport.write(event + get + get)
        answers = [response((await replies.next_msg(timeout=10)).data) for _ in range(2)]
        assert [answer["eTag"] for answer in answers] == [f'"{version}"'] * 2
        await until(partial(stage.heard, version - 1))
    assert count(stage.service, "hits") > 0


async def test_answers_above_the_limit_are_413_until_the_next_connection(stage: Stage) -> None:
    """nats-server does not tell connected clients that its limit was raised."""
    metadata: dict[str, Any] = {f"k{number}": "x" * 1000 for number in range(2 * OLD // 1000)}
    stage.store.put("large", **metadata)
    caller = EpmmpCaller(stage.peer, stage.instance)
    for _ in ("loaded", "a hit"):
        answer = await ask(stage.peer, stage.instance, "large")
        assert (answer["statusCode"], answer["payload"]) == (413, None)
        assert answer["reasonPhrase"] == "Metadata exceeds the maximum NATS payload"
    part = await ask(stage.peer, stage.instance, "large", include=("k7",))
    assert (part["statusCode"], len(part["payload"])) == (200, len(b'{"k7":""}') + 1000)
    ids = [f"{number}-{'e' * 1000}" for number in range(2 * OLD // 1000)]
    answer = await caller.call("app-version", endpointIds=ids)
    assert (answer["statusCode"], answer["endpointIds"]) == (413, [])
    assert answer["reasonPhrase"] == "Answer exceeds the maximum NATS payload"
    assert (count(stage.service, "answers_413"), stage.service.link.stats().disconnects) == (3, 0)

    await stage.service.reload(stage.service.settings)
    assert (await ask(stage.peer, stage.instance, "large"))["statusCode"] == 200
    answer = await caller.call("app-version", endpointIds=ids)
    assert (answer["statusCode"], answer["endpointIds"]) == (200, ids)
    assert count(stage.service, "answers_413") == 3
