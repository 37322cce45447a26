"""Slow, many and hostile clients of the running REST server, and what metrics tell of the register."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.service import Service
from tests.flows.register_support import EpmmpCaller, connected, register_settings, rest_client, serving

LIMITS = {"request_timeout": 0.3, "max_connections": 4, "max_body_bytes": 2048}
POST = b"POST /api/v1/endpoints HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture
async def service(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str
) -> AsyncIterator[Service]:
    place = (nats_server.url, mongod.uri, instance_name, mongo_database)
    settings = register_settings(*place, register={"rest": LIMITS}, management={"port": 0})
    async with serving(settings) as running:
        yield running


async def connect(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    assert service.register is not None
    at = urlsplit(service.register.url or "")
    return await asyncio.open_connection(at.hostname, at.port)


def drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    """One byte every 20 ms, until the connection is closed: never idle, never done."""
    if data and not writer.is_closing():
        writer.write(data[:1])
        asyncio.get_running_loop().call_later(0.02, drip, writer, data[1:])


@pytest.mark.parametrize(
    ("at_once", "slowly"),
    [
        (b"", b"GET /api/v1/endpoints HTTP/1.1\r\n" + b"X-A: b\r\n" * 50),
        (POST + b"Content-Length: 1000\r\n\r\n", b"{" + b" " * 998 + b"}"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 200),
        (b"", b""),
    ],
    ids=["headers", "body", "chunks", "silence"],
)
async def test_a_slow_client_is_cut_off(service: Service, at_once: bytes, slowly: bytes) -> None:
    reader, writer = await connect(service)
    writer.write(at_once)
    drip(writer, slowly)
    async with asyncio.timeout(3):
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP/1.1 2" not in await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /api/v1/endpoints HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        (POST + b"Content-Length: 999999\r\n\r\n", b"413"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"400\r\n" + b" " * 1024 + b"\r\n") * 4, b"413"),
        (POST + b"Content-Length: -1\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
    ],
    ids=["head", "declared body", "chunked body", "negative length", "tls"],
)
async def test_a_hostile_request_is_refused(service: Service, request_bytes: bytes, status: bytes) -> None:
    reader, writer = await connect(service)
    writer.write(request_bytes)
    async with asyncio.timeout(3):
        assert (await reader.readline()).startswith(b"HTTP/1.1 " + status)
    writer.close()


async def test_one_connection_too_many_is_closed_and_counted(service: Service) -> None:
    assert service.register is not None
    held = [await connect(service) for _ in range(4)]
    reader, writer = await connect(service)
    writer.write(b"GET /api/v1/endpoints HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(3):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    assert service.register.stats.refused["connections",] == 1
    for _, other in [*held, (reader, writer)]:
        other.close()


async def test_metrics_tell_of_the_register(
    service: Service, nats_server: NatsServer, instance_name: str
) -> None:
    assert service.register is not None
    body = {"endpointId": "e", "appVersion": {"name": "a-v1"}, "metadata": {"k": 1}}
    async with rest_client(service, 5) as http:
        await http.post("/endpoints", json=body)
        await http.post("/endpoints", json=body)
        await http.put("/endpoints/e/metadata/k", json=2)
        await http.put("/endpoints/e/metadata/k", json=2)
        await http.delete("/endpoints/e/metadata/none")
        await http.post(
            "/endpoints/batch", json={"appVersion": {"name": "a-v1"}, "endpoints": [{"metadata": {}}]}
        )
    async with connected(nats_server.url) as nc:
        update = {"endpointId": "e", "metadataKey": "k", "metadataValue": b"3"}
        await EpmmpCaller(nc, instance_name).call("key-update", **update)
    told = {
        (
            sample.name,
            *(sample.labels[name] for name in sorted(sample.labels) if name != "worker"),
        ): sample.value
        for family in text_string_to_metric_families(service.metrics.render().decode())
        for sample in family.samples
    }
    changes = "kaa_epr_register_changes_total"
    assert told[changes, "register", "409"] == 1
    assert told[changes, "register", "changed"] >= 1
    assert told[changes, "put_keys", "changed"] == 2
    assert told[changes, "put_keys", "unchanged"] == 1
    assert told[changes, "delete_key", "404"] == 1
    assert told["kaa_epr_register_events_total",] >= 3
    assert told["kaa_epr_register_change_seconds_count",] >= 6
    assert told["kaa_epr_register_tasks_total", "accepted"] == 1
    assert told["kaa_epr_register_refused_total", "connections"] == 0
    assert told["kaa_epr_register_auth_failures_total", "expired"] == 0
    assert told["kaa_epr_register_pending_changes",] <= 1
    assert told["kaa_epr_register_outboxes",] >= 0
