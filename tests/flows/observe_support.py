"""An observer beside responders, real or frozen, and events with and without versions."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bson import Int64
from nats.aio.client import Client as NatsClient

from kaa_epr.config.settings import Settings
from kaa_epr.embedded.process import ServerProcess
from kaa_epr.messages.outgoing import EventKind, OutgoingEvent, encode
from kaa_epr.observer import Observer, ObserverOptions
from tests.support.command import environment

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def observing(settings: Settings, options: ObserverOptions) -> AsyncIterator[Observer]:
    """Hears events when this is entered."""
    observer = Observer(settings, options)
    await observer.start()
    try:
        async with asyncio.timeout(20):
            await observer.hearing.wait()
        yield observer
    finally:
        await observer.stop()


async def finished(observer: Observer) -> dict[str, Any]:
    """The summary once ``options.count`` checks have ended."""
    async with asyncio.timeout(30):
        await observer.done.wait()
    return observer.summary()


def of_verdicts(summary: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in summary["verdicts"].items() if count}


def document(endpoint_id: str, version: int | None, **metadata: Any) -> dict[str, Any]:
    """As stored; a foreign one without a version."""
    items = [{"key": key, "value": value} for key, value in metadata.items()]
    stored: dict[str, Any] = {"_id": endpoint_id, "application_version": "v1", "metadata": items}
    return stored if version is None else {**stored, "version": Int64(version)}


def answer(version: int | None, **metadata: Any) -> dict[str, Any]:
    """Of a responder that has loaded ``document``."""
    text = json.dumps(metadata, separators=(",", ":"))
    return {"eTag": None if version is None else f'"{version}"', "payload": text, "appVersionName": "v1"}


NOT_FOUND = {
    "statusCode": 404,
    "reasonPhrase": "Endpoint not found",
    "payload": None,
    "eTag": None,
    "appVersionName": None,
}


async def publish(
    nc: NatsClient,
    instance: str,
    endpoint_id: str,
    version: int | None,
    kind: EventKind = EventKind.METADATA_UPDATED,
) -> None:
    """An event; without a version, a foreign one."""
    fields = {"correlationId": "c", "timestamp": 1, "timeout": 0, "appVersionName": "v1"}
    fields |= {"endpointId": endpoint_id, "originatorReplicaId": "r"}
    if kind is EventKind.METADATA_UPDATED:
        fields |= {"removed": {}, "added": {}, "updated": {}}
    event = OutgoingEvent(kind, version or 0, encode(kind, fields))
    headers = None if version is None else {"Kaa-Epr-Version": str(version)}
    await nc.publish(event.subject(instance), event.payload, headers=headers)
    await nc.flush()


class Frozen:
    """The process of ``frozen_responder``."""

    def __init__(self, nc: NatsClient, instance: str) -> None:
        self._nc = nc
        self._instance = instance

    async def thaw(self, changed: dict[str, Any]) -> None:
        """Every get that comes from now on is answered so."""
        await self._nc.request(f"thaw.{self._instance}", json.dumps(changed).encode(), timeout=20)


@contextmanager
def frozen(
    nc: NatsClient, url: str, instance: str, first: dict[str, Any], directory: Path
) -> Iterator[Frozen]:
    argv = [sys.executable, "-m", "tests.flows.frozen_responder", url, instance, json.dumps(first)]
    env = environment({"PYTHONPATH": f"{ROOT}:{ROOT / 'python'}"})
    process = ServerProcess("frozen responder", argv, directory / "frozen.log", env)
    with process:
        process.wait_for(re.compile("^frozen$"), 30)
        yield Frozen(nc, instance)


@dataclass(frozen=True)
class Stage:
    """A service instance that observers watch and frozen responders answer for, and its collection."""

    settings: Settings
    collection: Any
    nc: NatsClient
    directory: Path

    def frozen(self, first: dict[str, Any]) -> AbstractContextManager[Frozen]:
        """A responder that answers every get so."""
        return frozen(self.nc, self.settings.nats.servers[0], self._instance, first, self.directory)

    def observing(self, options: ObserverOptions) -> AbstractAsyncContextManager[Observer]:
        """As ``observing``."""
        return observing(self.settings, options)

    async def publish(
        self, endpoint_id: str, version: int | None, kind: EventKind = EventKind.METADATA_UPDATED
    ) -> None:
        """As ``publish``."""
        await publish(self.nc, self._instance, endpoint_id, version, kind)

    @property
    def _instance(self) -> str:
        return self.settings.service.instance_name
