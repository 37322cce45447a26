"""The permissions that the README shows, on a real nats-server: what is needed works, the rest does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from bson import Int64

from kaa_epr.client import EpmmpClient
from kaa_epr.config.settings import Settings
from kaa_epr.embedded import NatsServer, start_nats
from kaa_epr.messages import subjects
from kaa_epr.service import Service
from tests.flows.register_support import rest_client, serving
from tests.flows.test_readme import blocks
from tests.property.messages import Get
from tests.support.frames import Item
from tests.support.raw_nats import RawNats
from tests.support.waiting import until

INSTANCE: Final = "epr"
PASSWORDS: Final = {"epr": "service-1", "billing": "client-1"}


@pytest.fixture
def own_nats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    for user, password in PASSWORDS.items():
        monkeypatch.setenv(f"{user.upper()}_PASSWORD", password)
    (shown,) = blocks("conf")
    server = start_nats(tmp_path / "nats", config_lines=shown.splitlines())
    yield server
    server.stop()


@pytest.fixture
async def service(
    own_nats: NatsServer, settings_here: Callable[..., Settings], collection: Any
) -> AsyncIterator[Service]:
    metadata = [{"key": "a", "value": 1}]
    collection.insert_one({"_id": "e-1", "application": "app", "version": Int64(7), "metadata": metadata})
    nats = {"servers": [own_nats.url], "user": "epr", "password": PASSWORDS["epr"]}
    async with serving(settings_here(nats=nats, service={"instance_name": INSTANCE})) as running:
        yield running


@pytest.fixture
async def billing(own_nats: NatsServer) -> AsyncIterator[RawNats]:
    made = await RawNats.connected(own_nats.url, {"user": "billing", "pass": PASSWORDS["billing"]})
    yield made
    made.close()


async def test_clients_ask_and_writes_are_told(service: Service, own_nats: NatsServer) -> None:
    async with EpmmpClient(
        servers=own_nats.url.replace("//", f"//billing:{PASSWORDS['billing']}@"),
        repository=INSTANCE,
        replica_id="billing-1",
        timeout=20,
    ) as client:
        assert (await client.get("e-1")).metadata == {"a": 1}
        assert (await client.get("e-1")).etag == '"7"'
        async with rest_client(service) as http:
            await http.put("/endpoints/e-1/metadata/a", json=2)
        assert (await client.get("e-1")).metadata == {"a": 2}
    assert service.link.stats().ears
    assert service.engine.stats()["events_applied"] == 1, "the event came by, and the writer's number with it"
    assert service.register is not None
    assert service.register.stats.unpublished == 0


@pytest.mark.parametrize(
    "subject",
    [
        subjects.metadata_updated(INSTANCE),
        subjects.heartbeat(INSTANCE),
        subjects.targeted(INSTANCE, subjects.EPMMP, subjects.KEY_UPDATE_REQUEST),
        "$SRV.PING",
    ],
)
async def test_a_client_may_not_publish(service: Service, billing: RawNats, subject: str) -> None:
    billing.publish(subject, b"\x00")
    await billing.round_trip()
    assert [error for error in billing.errors if "Permissions Violation for Publish" in error]
    stats = service.engine.stats()
    assert (stats["flushes_undecodable_event"], stats["heartbeats_malformed"]) == (0, 0)


@pytest.mark.parametrize(
    "subject", [subjects.metadata_get_request(INSTANCE), "_INBOX.>", subjects.metadata_updated(), ">"]
)
async def test_a_client_may_not_listen(billing: RawNats, subject: str) -> None:
    billing.subscribe(subject, lambda item: None)
    await billing.round_trip()
    assert [error for error in billing.errors if "Permissions Violation for Subscription" in error]


async def test_an_answer_goes_where_the_client_listens_and_not_to_another_application(
    service: Service, own_nats: NatsServer, billing: RawNats
) -> None:
    """A subject that is none of Kaa's is not refused by us. The server does not let us publish there."""
    heard: list[Item] = []
    billing.subscribe("_INBOX_billing.>", heard.append)
    payload = Get(endpoint_id="e-1").encode()
    subject = subjects.metadata_get_request(INSTANCE).encode()
    for reply in (b"orders.created", b"_INBOX_billing.1"):
        billing.write(b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(payload), payload))
    await until(lambda: bool(heard), "an answer")
    assert [item.subject for item in heard] == ["_INBOX_billing.1"]
    assert service.engine.stats()["answers_200"] == 2
    said = '$G/user:epr" - Publish Violation - Subject "orders.created"'
    log = own_nats.directory / "nats-server.log"
    await until(lambda: said in log.read_text(), "the server's refusal")
    assert service.link.stats().connects == 1
