"""A service with the register on, requests of 19/EPMMP, and whoever listens to its events."""

from __future__ import annotations

import asyncio
import gc
import io
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import fastavro
import httpx
import nats
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from kaa_epr import schemas
from kaa_epr.config.settings import Settings
from kaa_epr.messages import subjects
from kaa_epr.messages.decode import decode_message
from kaa_epr.register.commit.collaborators import OnStage, unobserved
from kaa_epr.service import Service
from tests.support.http_client import plain_client

EPMMP = "epmmp/0019-endpoint-metadata-"
KINDS = {
    "patch": (subjects.PATCH_REQUEST, f"{EPMMP}patch"),
    "key-update": (subjects.KEY_UPDATE_REQUEST, f"{EPMMP}key-update"),
    "key-batch-update": (subjects.KEY_BATCH_UPDATE_REQUEST, f"{EPMMP}key-batch-update"),
    "keys-get": (subjects.KEYS_GET_REQUEST, f"{EPMMP}keys-get"),
    "app-version": (subjects.APP_VERSION_GET_REQUEST, "epmmp/0019-endpoints-app-version"),
}


def register_settings(nats_url: str, mongo_uri: str, instance: str, database: str, **groups: Any) -> Settings:
    """Security off on loopback, any free port."""
    register = {
        "enabled": True,
        "security": {"enabled": False},
        **groups.pop("register", {}),
    }
    register["rest"] = {"port": 0, **register.get("rest", {})}
    return Settings.model_validate(
        {
            "service": {"instance_name": instance},
            "nats": {"servers": [nats_url]},
            "mongo": {"uri": mongo_uri, "database": database, **groups.pop("mongo", {})},
            "management": {"enabled": False},
            "register": register,
            **groups,
        }
    )


def rest_client(service: Service, seconds: float = 30.0) -> httpx.AsyncClient:
    """A client of the register's REST interface."""
    assert service.register is not None
    return plain_client(f"{service.register.url}/api/v1", seconds)


@asynccontextmanager
async def serving(settings: Settings, on_stage: OnStage = unobserved) -> AsyncIterator[Service]:
    service = Service(settings, on_stage=on_stage)
    await service.start()
    try:
        await service.wait_ready()
        yield service
    finally:
        await service.drain()
        del service
        # The engine belongs to this thread; Motor's threads must not be the ones to collect it.
        gc.collect()


class Heard(NamedTuple):
    """One event, decoded."""

    kind: str
    fields: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def version(self) -> int:
        return int(self.headers["Kaa-Epr-Version"])


class Listener:
    """Everything that an instance publishes as events, in order."""

    def __init__(self, nc: NatsClient) -> None:
        self.nc = nc
        self.heard: list[Heard] = []
        self._more = asyncio.Event()

    async def listen(self, instance: str) -> None:
        await self.nc.subscribe(f"kaa.v1.events.{instance}.>", cb=self._take)
        await self.nc.flush()
        await self.nc.flush()

    async def _take(self, msg: Msg) -> None:
        decoded = decode_message(msg.data, subject=msg.subject)
        self.heard.append(Heard(decoded.kind, decoded.fields, msg.headers or {}))
        self._more.set()

    async def settle(self) -> list[Heard]:
        """Everything the server took before this call."""
        await self.nc.flush()
        await self.nc.flush()
        return list(self.heard)

    async def wait_for(self, count: int) -> list[Heard]:
        async with asyncio.timeout(20):
            while len(self.heard) < count:
                self._more.clear()
                await self._more.wait()
        return list(self.heard)


class EpmmpCaller:
    """Sends requests and decodes answers."""

    def __init__(self, nc: NatsClient, instance: str) -> None:
        self.nc = nc
        self.instance = instance

    async def raw(self, kind: str, payload: bytes) -> dict[str, Any]:
        message_type, schema = KINDS[kind]
        subject = subjects.targeted(self.instance, subjects.EPMMP, message_type)
        answer = await self.nc.request(subject, payload, timeout=20)
        decoded = fastavro.schemaless_reader(
            io.BytesIO(answer.data), schemas.load(f"{schema}-response"), None
        )
        assert isinstance(decoded, dict)
        return decoded

    def encode(self, kind: str, **fields: Any) -> bytes:
        buffer = io.BytesIO()
        head = {"correlationId": "c-1", "timestamp": time.time_ns() // 1_000_000, "timeout": 0}
        fastavro.schemaless_writer(buffer, schemas.load(f"{KINDS[kind][1]}-request"), {**head, **fields})
        return buffer.getvalue()

    async def call(self, kind: str, **fields: Any) -> dict[str, Any]:
        return await self.raw(kind, self.encode(kind, **fields))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[NatsClient]:
    nc = await nats.connect(url)
    try:
        yield nc
    finally:
        await nc.close()
