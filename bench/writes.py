"""Writes per second and their latency, through REST and through 19/EPMMP key update, and gets beside them.

Runs a register on servers of its own on this machine and prints one JSON object: for each scenario writes/s,
latency percentiles in milliseconds, and document writes and events per acknowledged write.

    python -m bench.writes --seconds 5 --clients 64
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import fastavro
import nats
import uvloop
from nats.aio.client import Client

from kaa_epr import schemas
from kaa_epr.config.settings import Settings
from kaa_epr.embedded import start_mongod, start_nats
from kaa_epr.events import subjects
from kaa_epr.service import Service

INSTANCE = "bench"
ENDPOINTS = 1000
REQUEST = fastavro.parse_schema(schemas.load("epmmp/0019-endpoint-metadata-key-update-request"))

Write = Callable[[int, int], Awaitable[None]]
"""(endpoint number, value)."""


def settings_of(nats_url: str, mongo_uri: str, driver: str) -> Settings:
    return Settings.model_validate(
        {
            "service": {"instance_name": INSTANCE},
            "nats": {"servers": [nats_url]},
            "mongo": {"uri": mongo_uri, "database": "bench", "driver": driver},
            "management": {"enabled": False},
            "register": {"enabled": True, "security": {"enabled": False}, "rest": {"port": 0}},
        }
    )


async def measured(
    write: Write, service: Service, seconds: float, clients: int, endpoints: int
) -> dict[str, Any]:
    """Closed loop: each client writes again when its last write was acknowledged."""
    assert service.register is not None
    stats = service.register.parts.stats
    changes, events = stats.changes, stats.events
    took: list[float] = []
    end = time.monotonic() + seconds

    async def client(number: int) -> None:
        turn = 0
        while (begun := time.monotonic()) < end:
            turn += 1
            # A value that nobody wrote before: what changes nothing is not written.
            await write((number + turn * clients) % endpoints, time.time_ns())
            took.append(time.monotonic() - begun)

    begun = time.monotonic()
    await asyncio.gather(*map(client, range(clients)))
    elapsed = time.monotonic() - begun
    took.sort()
    return {
        "writes_per_second": round(len(took) / elapsed),
        "p50_ms": round(took[len(took) // 2] * 1000, 2),
        "p99_ms": round(took[len(took) * 99 // 100] * 1000, 2),
        "document_writes_per_write": round((stats.changes - changes) / len(took), 3),
        "events_per_write": round((stats.events - events) / len(took), 3),
    }


def over_nats(client: Client) -> Write:
    subject = subjects.targeted(INSTANCE, subjects.EPMMP, subjects.KEY_UPDATE_REQUEST)

    async def write(endpoint: int, value: int) -> None:
        buffer = io.BytesIO()
        request = {
            "correlationId": "bench",
            "timestamp": time.time_ns() // 1_000_000,
            "timeout": 0,
            "endpointId": f"e-{endpoint}",
            "metadataKey": "k",
            "metadataValue": b"%d" % value,
        }
        fastavro.schemaless_writer(buffer, REQUEST, request)
        await client.request(subject, buffer.getvalue(), timeout=30)

    return write


class RestConnection:
    """One keep-alive connection, with no more HTTP than it takes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def put(self, endpoint: int, value: int) -> None:
        body = b"%d" % value
        self._writer.write(
            b"PUT /api/v1/endpoints/e-%d/metadata/k HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (endpoint, len(body), body)
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.partition(b"\r\n")[0].decode())
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await self._reader.readexactly(length)


async def over_rest(url: str, connections: int) -> Write:
    host, _, port = url.removeprefix("http://").partition(":")
    pool: asyncio.Queue[RestConnection] = asyncio.Queue()
    for _ in range(connections):
        pool.put_nowait(RestConnection(*await asyncio.open_connection(host, int(port))))

    async def write(endpoint: int, value: int) -> None:
        connection = await pool.get()
        await connection.put(endpoint, value)
        pool.put_nowait(connection)

    return write


async def run(arguments: argparse.Namespace, nats_url: str, mongo_uri: str) -> dict[str, Any]:
    service = Service(settings_of(nats_url, mongo_uri, arguments.driver))
    await service.start()
    await service.wait_ready()
    assert service.register is not None
    await service.store.write([_insert(n) for n in range(ENDPOINTS)], 30.0)
    client = await nats.connect(nats_url)
    rest = await over_rest(service.register.url or "", arguments.clients)
    scenarios: dict[str, tuple[Write, int]] = {
        "epmmp_key_update": (over_nats(client), ENDPOINTS),
        "epmmp_key_update_one_endpoint": (over_nats(client), 1),
        "rest_put_key": (rest, ENDPOINTS),
    }
    results = {}
    for name, (write, endpoints) in scenarios.items():
        await measured(write, service, 0.5, arguments.clients, endpoints)
        results[name] = await measured(write, service, arguments.seconds, arguments.clients, endpoints)
    await client.close()
    await service.drain()
    return results


def _insert(number: int) -> Any:
    from pymongo import InsertOne

    return InsertOne({"_id": f"e-{number}", "application_version": "a-v1", "version": 0, "metadata": []})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--driver", choices=["motor", "pymongo"], default="pymongo")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        nats_server = start_nats(Path(folder) / "nats")
        mongod = start_mongod(Path(folder) / "mongo")
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                results = runner.run(run(arguments, nats_server.url, mongod.uri))
        finally:
            mongod.stop()
            nats_server.stop()
    json.dump({"driver": arguments.driver, "clients": arguments.clients, **results}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
