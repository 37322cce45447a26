"""More requests than callbacks can take: bounded, dropped, counted, told, and over when the load is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import pytest
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from kaa_epr.embedded import NatsServer
from kaa_epr.messages import subjects
from kaa_epr.nats import subscriptions
from tests.nats.harness import Store, ask, connected, count, serving, settings_of
from tests.property.messages import Get
from tests.property.support import needs_rust, response
from tests.support.proxy import Proxy
from tests.support.waiting import until

SIZE = 30_000
ASKED = 2_000
"""Answers of 60 MB together: what the proxy does not take stays with the service."""
QUEUED = 200
"""Instead of 65,536 requests, so that the test need not send that many."""
CALLBACK_PATHS = [
    pytest.param({"nats": {"fast_path": "off"}}, id="callbacks", marks=needs_rust),
    pytest.param({"engine": "pure"}, id="pure"),
]


@dataclass
class Asker:
    """Asks for the large endpoint, many times at once."""

    peer: NatsClient
    subject: str
    inbox: str
    heard: set[str] = field(default_factory=set)
    """Correlation IDs of the answers."""

    @classmethod
    async def of(cls, peer: NatsClient, instance: str) -> Self:
        asker = cls(peer, subjects.metadata_get_request(instance), peer.new_inbox())
        await peer.subscribe(asker.inbox, cb=asker.hear)
        return asker

    async def hear(self, message: Msg) -> None:
        self.heard.add(response(message.data)["correlationId"])

    async def ask(self, times: int) -> None:
        for number in range(times):
            get = Get(endpoint_id="big", correlation_id=str(number)).encode()
            await self.peer.publish(self.subject, get, reply=self.inbox)


@pytest.mark.faults
@pytest.mark.parametrize("path", CALLBACK_PATHS)
async def test_requests_beyond_the_queue_are_dropped_counted_and_told(
    path: dict[str, Any],
    nats_server: NatsServer,
    store: Store,
    instance_name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(subscriptions, "REQUEST_PENDING_MESSAGES", QUEUED)
    store.put("big", text="x" * SIZE)
    settings = settings_of(nats_server.url, store.uri, store.database, instance_name, **path)
    settings["nats"]["ping_interval"] = 60  # this is about the queue, not about leaving
    async with Proxy(nats_server.port) as proxy, connected(nats_server.url) as peer:
        settings["nats"]["servers"] = [proxy.url]
        async with serving(settings) as service:
            assert (await ask(peer, instance_name, "big"))["statusCode"] == 200
            asker = await Asker.of(peer, instance_name)
            proxy.stop_forwarding("to_server")
            await asker.ask(ASKED)
            await peer.flush()
            session = service.link._session
            assert session is not None
            (gets,) = (each for each in session.subscriptions.requests if each.subject == asker.subject)

            def all_came() -> bool:
                return session.client.stats["in_msgs"] >= 1 + ASKED

            await until(all_came, "every request was read")
            dropped = service.link.stats().overflow_requests
            assert gets.pending_msgs <= QUEUED
            assert dropped > 0
            proxy.go_on()
            await until(
                lambda: len(asker.heard) == ASKED - dropped, "all that was not dropped is answered", 30
            )
            assert service.link.stats().overflow_requests == dropped
            assert count(service, "requests") == 1 + ASKED - dropped
            assert count(service, "flushes_event_overflow") == 0, "no event was lost"
            assert (await ask(peer, instance_name, "big"))["statusCode"] == 200
            assert f'kind="request",worker="0"}} {float(dropped)}' in service.metrics.render().decode()
            assert service.link.stats().disconnects == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "message dropped" in line]
    assert len(told) == 1, "once for many"
    assert asker.subject in told[0]


LANDED = 200
"""Gets answered by one load, with 6 MB: several times what the core makes ready at once."""


@pytest.mark.faults
@pytest.mark.parametrize("path", CALLBACK_PATHS)
@pytest.mark.parametrize("lost", [False, True], ids=["on one connection", "the connection lost between"])
async def test_answers_kept_back_follow(
    path: dict[str, Any], lost: bool, nats_server: NatsServer, store: Store, instance_name: str
) -> None:
    store.put("big", text="x" * SIZE)
    store.put("other")
    settings = settings_of(nats_server.url, store.uri, store.database, instance_name, **path)
    settings["nats"]["ping_interval"] = 60  # this is about the answers, not about leaving
    async with Proxy(nats_server.port) as proxy, connected(nats_server.url) as peer:
        settings["nats"]["servers"] = [proxy.url]
        async with serving(settings) as service:
            asker = await Asker.of(peer, instance_name)
            if lost:
                proxy.stop_forwarding("to_server")
            await asker.ask(LANDED)
            await until(lambda: count(service, "loaded_endpoints") == 1, "one load was for all of them")
            if lost:
                proxy.cut()
                proxy.go_on()
                await until(lambda: service.link.stats().connects == 2, "another connection")
            assert (await ask(peer, instance_name, "other"))["statusCode"] == 200
            if not lost:
                await until(lambda: len(asker.heard) == LANDED, "every get is answered")
            assert service.engine.pending() == 0
