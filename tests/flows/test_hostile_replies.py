"""Requests that want their answers where answers do not go, sent to the running service as bytes.

nats-server refuses some of these itself (``$JS.ACK.…``, ``_GR_.…``), so what it hands on is counted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import pytest
from bson import Int64
from nats.aio.client import Client as NatsClient

from kaa_epr.config.settings import Settings
from kaa_epr.embedded import NatsServer
from kaa_epr.messages import subjects
from kaa_epr.nats.services_api import service_name
from kaa_epr.service import Service
from tests.flows.register_support import KINDS, EpmmpCaller, Listener, serving
from tests.property.messages import Get
from tests.property.support import needs_rust
from tests.support.fleet import ENGINES
from tests.support.frames import Item
from tests.support.raw_nats import RawNats
from tests.support.replies import ANSWERED, REFUSED

READS: Final = ("keys-get", "app-version")
WRITES: Final = ("key-update", "key-batch-update", "patch")
FIELDS: Final[dict[str, dict[str, Any]]] = {
    "keys-get": {"endpointId": "e-1"},
    "app-version": {"endpointIds": ["e-1"]},
    "key-update": {"endpointId": "e-1", "metadataKey": "a", "metadataValue": b"2"},
    "key-batch-update": {"commands": [{"endpointId": "e-1", "metadataKey": "a", "metadataValue": b"2"}]},
    "patch": {"endpointId": "e-1", "ifMatch": None, "patch": b'[{"op": "remove", "path": "/a"}]'},
}


@pytest.fixture(params=[pytest.param(name, marks=() if name == "pure" else needs_rust) for name in ENGINES])
async def service(
    request: pytest.FixtureRequest,
    settings_here: Callable[..., Settings],
    nats_server: NatsServer,
    collection: Any,
) -> AsyncIterator[Service]:
    collection.insert_one(
        {
            "_id": "e-1",
            "application": "app",
            "application_version": "app-v1",
            "version": Int64(7),
            "metadata": [{"key": "a", "value": 1}],
        }
    )
    nats = {"servers": [nats_server.url], **ENGINES[request.param].get("nats", {})}
    async with serving(settings_here(**{**ENGINES[request.param], "nats": nats})) as running:
        yield running


class Attacker:
    """A client that may publish requests, and hears whatever passes."""

    def __init__(self, connection: RawNats, caller: EpmmpCaller) -> None:
        self.connection = connection
        self.caller = caller
        self.heard: Counter[bytes] = Counter()
        """Messages by subject. Requests count, answers too."""

    async def listen(self) -> None:
        self.connection.subscribe(">", self._take)
        await self.connection.round_trip()

    def _take(self, item: Item) -> None:
        self.heard[item.line.split(b" ")[1]] += 1

    def request(self, subject: str, reply: bytes, payload: bytes) -> None:
        head = b" ".join([b"PUB", subject.encode(), reply, b"%d" % len(payload)])
        self.connection.write(b"%b\r\n%b\r\n" % (head, payload))

    def payload(self, kind: str) -> bytes:
        return Get(endpoint_id="e-1").encode() if kind == "get" else self.caller.encode(kind, **FIELDS[kind])

    def subject(self, kind: str) -> str:
        message_type = subjects.GET_REQUEST if kind == "get" else KINDS[kind][0]
        return subjects.targeted(self.caller.instance, subjects.EPMMP, message_type)


@pytest.fixture
async def attacker(nats_server: NatsServer, caller: EpmmpCaller) -> AsyncIterator[Attacker]:
    connection = await RawNats.connected(nats_server.url)
    made = Attacker(connection, caller)
    await made.listen()
    yield made
    connection.close()


def bad_replies(service: Service) -> tuple[int, int]:
    """Refused by the engine, and by the register."""
    count = service.engine.stats()["requests_bad_reply"]
    assert isinstance(count, int)
    assert service.register is not None
    return count, service.register.stats.dropped["bad_reply",]


async def test_nothing_is_done_and_nothing_answered(
    service: Service,
    attacker: Attacker,
    caller: EpmmpCaller,
    nc: NatsClient,
    listener: Listener,
    collection: Any,
) -> None:
    kinds = ("get", *READS, *WRITES)
    for reply in REFUSED:
        for kind in kinds:
            attacker.request(attacker.subject(kind), reply, attacker.payload(kind))
        attacker.request(f"$SRV.PING.{service_name(caller.instance)}", reply, b"")
    await attacker.connection.round_trip()
    for kind in (*READS, *WRITES):
        # One connection each side, so what was sent before has been handled.
        assert (await caller.call(kind, **FIELDS[kind]))["statusCode"] in (200, 409)
    assert (await nc.request(attacker.subject("get"), attacker.payload("get"), timeout=20)).data
    await nc.request(f"$SRV.PING.{service_name(caller.instance)}", b"", timeout=20)
    await attacker.connection.round_trip()
    heard = attacker.heard
    handed_on = {kind: heard[attacker.subject(kind).encode()] - 1 for kind in kinds}
    assert min(handed_on.values()) > len(REFUSED) // 2
    assert bad_replies(service) == (
        sum(handed_on[kind] for kind in ("get", *READS)),
        sum(handed_on[kind] for kind in WRITES),
    )
    assert not {reply: heard[reply] for reply in REFUSED if heard[reply]}
    assert [event.version for event in await listener.settle()] == [8, 9], "only what was asked for properly"
    assert collection.find_one({"_id": "e-1"})["version"] == 9
    assert service.link.stats().connects == 1, "nothing of it has cut the connection"


async def test_clients_are_answered_where_they_want_it(service: Service, attacker: Attacker) -> None:
    def answered(reply: bytes) -> bool:
        return attacker.heard[reply] == 1

    for reply in ANSWERED:
        attacker.request(attacker.subject("get"), reply, attacker.payload("get"))
        attacker.request(attacker.subject("key-update"), reply + b".2", attacker.payload("key-update"))
    await attacker.connection.round_trip()
    handed_on = attacker.heard[attacker.subject("get").encode()]
    assert handed_on >= len(ANSWERED) - 3
    deadline = time.monotonic() + 20
    while sum(attacker.heard[reply] for reply in ANSWERED) < handed_on and time.monotonic() < deadline:
        await attacker.connection.round_trip()
    assert sum(answered(reply) for reply in ANSWERED) == handed_on
    assert bad_replies(service)[0] == 0
