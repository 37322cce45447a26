"""The services API on a real server, read back by nats-py's own classes for it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client as NatsClient
from nats.micro.service import NAME_REGEX, SEMVER_REGEX, ServiceInfo, ServicePing, ServiceStats

from kaa_epr.embedded import NatsServer
from kaa_epr.nats.services_api import (
    Endpoint,
    EndpointStats,
    ServiceIdentity,
    ServicesApi,
    semantic_version,
    service_name,
)

SUBJECT = "kaa.v1.service.my.instance.epmmp.ep-metadata-get-request"


def identity(instance: str, service_id: str = "r-1") -> ServiceIdentity:
    return ServiceIdentity(
        name=instance,
        version="1.2.3",
        endpoints=[Endpoint("ep-metadata-get", SUBJECT, instance, {"protocol": "19/EPMMP"})],
        metadata=lambda: {"engine": "rust", "fast_path": "not in use: ws://"},
        id=service_id,
    )


async def ask(nc: NatsClient, subject: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((await nc.request(subject, timeout=10)).data)
    return answer


async def started(nc: NatsClient, instance: str, counts: EndpointStats) -> ServicesApi:
    api = ServicesApi(nc, identity(instance), lambda: {"ep-metadata-get": counts})
    await api.start()
    return api


NOTHING_YET = EndpointStats(num_requests=0, num_errors=0, processing_time_ns=0)


@pytest.mark.parametrize("verb", ["PING", "INFO", "STATS"])
async def test_every_verb_answers_to_all_names(verb: str, nc: NatsClient, instance_name: str) -> None:
    await started(nc, instance_name, NOTHING_YET)
    for subject in (f"$SRV.{verb}.{instance_name}", f"$SRV.{verb}.{instance_name}.r-1"):
        answer = await ask(nc, subject)
        assert answer["type"] == f"io.nats.micro.v1.{verb.lower()}_response"
        assert (answer["name"], answer["id"]) == (instance_name, "r-1")


async def test_everyone_is_found_by_a_ping_to_all(nc: NatsClient, instance_name: str) -> None:
    """What `nats service ls` does: one request, an answer from each instance."""
    for service_id in ("r-1", "r-2"):
        await ServicesApi(nc, identity(instance_name, service_id), dict).start()
    inbox = nc.new_inbox()
    answers = await nc.subscribe(inbox)
    await nc.publish("$SRV.PING", reply=inbox)
    found: set[str] = set()
    while found != {"r-1", "r-2"}:
        ping = ServicePing.from_dict(json.loads((await answers.next_msg(timeout=10)).data))
        if ping.name == instance_name:
            found.add(ping.id)
    assert found == {"r-1", "r-2"}


async def test_info_tells_engine_and_endpoint(nc: NatsClient, instance_name: str) -> None:
    await started(nc, instance_name, NOTHING_YET)
    info = ServiceInfo.from_dict(await ask(nc, f"$SRV.INFO.{instance_name}"))
    assert info.metadata == {"engine": "rust", "fast_path": "not in use: ws://"}
    assert info.version == "1.2.3"
    assert info.description
    (endpoint,) = info.endpoints
    assert (endpoint.subject, endpoint.queue_group) == (SUBJECT, instance_name)
    assert (endpoint.name, endpoint.metadata) == ("ep-metadata-get", {"protocol": "19/EPMMP"})


async def test_stats_are_the_engines(nc: NatsClient, instance_name: str) -> None:
    counts = EndpointStats(10, 3, 25_007, last_error="status 503", data={"hits": 9})
    await started(nc, instance_name, counts)
    stats = ServiceStats.from_dict(await ask(nc, f"$SRV.STATS.{instance_name}"))
    assert stats.started.replace(tzinfo=UTC) <= datetime.now(UTC)
    (endpoint,) = stats.endpoints
    assert (endpoint.num_requests, endpoint.num_errors, endpoint.last_error) == (10, 3, "status 503")
    assert (endpoint.processing_time, endpoint.average_processing_time) == (25_007, 2_500)
    assert endpoint.data == {"hits": 9}


async def test_stats_are_asked_anew_and_begin_at_nothing(nc: NatsClient, instance_name: str) -> None:
    counts = [NOTHING_YET, EndpointStats(4, 0, 8)]
    api = ServicesApi(nc, identity(instance_name), lambda: {"ep-metadata-get": counts.pop(0)})
    await api.start()
    seen = [(await ask(nc, f"$SRV.STATS.{instance_name}"))["endpoints"][0] for _ in range(2)]
    assert [one["average_processing_time"] for one in seen] == [0, 2]
    assert seen[0]["data"] is None


async def test_nothing_answers_after_stop(nc: NatsClient, instance_name: str) -> None:
    api = await started(nc, instance_name, NOTHING_YET)
    await ask(nc, f"$SRV.PING.{instance_name}")
    await api.stop()
    await api.stop()
    with pytest.raises(nats.errors.NoRespondersError):
        await nc.request(f"$SRV.PING.{instance_name}", timeout=10)


async def test_stop_after_the_connection_closed(nats_server: NatsServer, instance_name: str) -> None:
    connection = await nats.connect(nats_server.url)
    api = await started(connection, instance_name, NOTHING_YET)
    await connection.close()
    await api.stop()
    async with await nats.connect(nats_server.url) as other:
        with pytest.raises(nats.errors.NoRespondersError):
            await other.request(f"$SRV.PING.{instance_name}", timeout=10)


async def test_a_request_without_a_reply_subject_is_left_alone(nc: NatsClient, instance_name: str) -> None:
    errors: list[Exception] = []

    async def note(error: Exception) -> None:
        errors.append(error)

    nc._error_cb = note
    await started(nc, instance_name, NOTHING_YET)
    await nc.publish(f"$SRV.PING.{instance_name}", b"")
    await ask(nc, f"$SRV.PING.{instance_name}")
    assert errors == []


async def test_a_refusal_leaves_the_connection_as_it_is(tmp_path: Path, instance_name: str) -> None:
    permissions = 'permissions: { subscribe: { deny: "$SRV.>" } }'
    config = [f'authorization {{ users: [ {{ user: "u", password: "p", {permissions} }} ] }}']
    refusals: asyncio.Queue[str] = asyncio.Queue()

    async def note(error: Exception) -> None:
        await refusals.put(str(error))

    with NatsServer(tmp_path, config_lines=config) as server:
        connection = await nats.connect(server.url, user="u", password="p", error_cb=note)
        api = await started(connection, instance_name, NOTHING_YET)
        told = [await asyncio.wait_for(refusals.get(), 10) for _ in range(9)]
        assert all("permissions violation" in text for text in told)
        assert connection.is_connected
        await api.stop()
        await connection.close()


@pytest.mark.parametrize(
    ("instance", "name"), [("epr", "epr"), ("My-epr_2", "My-epr_2"), ("a b/ж", "a_b__"), ("", "kaa-epr")]
)
def test_service_names(instance: str, name: str) -> None:
    assert service_name(instance) == name
    assert NAME_REGEX.match(name)


@pytest.mark.parametrize(
    ("version", "semantic"),
    [
        ("1.2.3", "1.2.3"),
        ("1.2.3-alpha.1+b", "1.2.3-alpha.1+b"),
        ("0+source", "0.0.0+source"),
        ("1.2", "1.2.0"),
        ("1.2.0rc1", "1.2.0-rc1"),
        ("1.2.0.dev7", "1.2.0-dev7"),
        ("1.2.3.4", "1.2.3"),
        ("1!2.0.post1+g12.ab", "2.0.0-post1+g12-ab"),
        ("01.2.3", "1.2.3"),
        ("nonsense", "0.0.0-nonsense"),
        ("1.2.3-01", "1.2.3-x01"),
    ],
)
def test_semantic_versions(version: str, semantic: str) -> None:
    assert semantic_version(version) == semantic
    assert SEMVER_REGEX.match(semantic)


def test_every_process_has_an_id_of_its_own() -> None:
    first, second = (ServiceIdentity("epr", "1.0.0", [Endpoint("get", SUBJECT, "epr")]) for _ in range(2))
    assert first.id != second.id
    assert NAME_REGEX.match(first.id)
    assert first.metadata() == {}
