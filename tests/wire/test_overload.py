"""More requests than callbacks can take: bounded, dropped, counted, told, and over when the load is."""

from __future__ import annotations

from typing import Any

import pytest

from kaa_epr.embedded import NatsServer
from kaa_epr.events import subjects
from kaa_epr.wire import subscriptions
from tests.property.messages import Get
from tests.property.support import needs_rust, response
from tests.support.proxy import Proxy
from tests.support.waiting import until
from tests.wire.harness import Store, ask, connected, count, serving, settings_of

SIZE = 30_000
ASKED = 2_000
"""Answers of 60 MB together: what the proxy does not take stays with the service."""
QUEUED = 200
"""Instead of 65,536 requests, so that the test need not send that many."""
CALLBACK_PATHS = [
    pytest.param({"nats": {"fast_path": "off"}}, id="callbacks", marks=needs_rust),
    pytest.param({"engine": "pure"}, id="pure"),
]


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
    heard: set[str] = set()
    async with Proxy(nats_server.port) as proxy, connected(nats_server.url) as peer:
        settings["nats"]["servers"] = [proxy.url]
        async with serving(settings) as service:
            assert (await ask(peer, instance_name, "big"))["statusCode"] == 200
            inbox, subject = peer.new_inbox(), subjects.metadata_get_request(instance_name)

            async def hear(message: Any) -> None:
                heard.add(response(message.data)["correlationId"])

            await peer.subscribe(inbox, cb=hear)
            proxy.stop_forwarding("to_server")
            for number in range(ASKED):
                get = Get(endpoint_id="big", correlation_id=str(number)).encode()
                await peer.publish(subject, get, reply=inbox)
            await peer.flush()
            session = service.link._session
            assert session is not None
            (gets,) = (each for each in session.subscriptions.requests if each.subject == subject)

            def all_came() -> bool:
                return session.client.stats["in_msgs"] >= 1 + ASKED

            await until(all_came, "every request was read")
            dropped = service.link.stats().overflow_requests
            assert gets.pending_msgs <= QUEUED
            assert dropped > 0
            proxy.go_on()
            await until(lambda: len(heard) == ASKED - dropped, "all that was not dropped is answered", 30)
            assert service.link.stats().overflow_requests == dropped
            assert count(service, "requests") == 1 + ASKED - dropped
            assert count(service, "flushes_event_overflow") == 0, "no event was lost"
            assert (await ask(peer, instance_name, "big"))["statusCode"] == 200
            assert f'kind="request",worker="0"}} {float(dropped)}' in service.metrics.render().decode()
            assert service.link.stats().disconnects == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "message dropped" in line]
    assert len(told) == 1, "once for many"
    assert subject in told[0]


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
    heard: set[str] = set()
    async with Proxy(nats_server.port) as proxy, connected(nats_server.url) as peer:
        settings["nats"]["servers"] = [proxy.url]
        async with serving(settings) as service:
            inbox, subject = peer.new_inbox(), subjects.metadata_get_request(instance_name)

            async def hear(message: Any) -> None:
                heard.add(response(message.data)["correlationId"])

            await peer.subscribe(inbox, cb=hear)
            if lost:
                proxy.stop_forwarding("to_server")
            for number in range(LANDED):
                get = Get(endpoint_id="big", correlation_id=str(number)).encode()
                await peer.publish(subject, get, reply=inbox)
            await until(lambda: count(service, "loaded_endpoints") == 1, "one load was for all of them")
            if lost:
                proxy.cut()
                proxy.go_on()
                await until(lambda: service.link.stats().connects == 2, "another connection")
            assert (await ask(peer, instance_name, "other"))["statusCode"] == 200
            if not lost:
                await until(lambda: len(heard) == LANDED, "every get is answered")
            assert service.engine.pending() == 0
