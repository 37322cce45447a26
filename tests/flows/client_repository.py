"""A repository of a few lines, which answers what a test says, for tests of the client."""

from __future__ import annotations

import asyncio
import io
import time
from typing import Any

import fastavro
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from kaa_epr import schemas
from kaa_epr.client import ClientOptions, EpmmpClient
from kaa_epr.messages import subjects

SECRET = "s3cr3t-value"
SOON = ClientOptions(backoff=0.01, backoff_max=0.01)
"""Retries without noticeable pauses."""


class Asked:
    """A get request as it arrived."""

    def __init__(self, msg: Msg, fields: dict[str, Any]) -> None:
        self.msg = msg
        self.fields = fields

    @property
    def correlation_id(self) -> str:
        correlation_id = self.fields["correlationId"]
        assert isinstance(correlation_id, str)
        return correlation_id


class Repository:
    """Takes gets and answers what the test says, when it says so."""

    def __init__(self, nc: NatsClient, instance: str, revision: int = 3) -> None:
        self.nc = nc
        self.instance = instance
        self.request_schema = schemas.load(f"epmmp/0019-endpoint-metadata-get-request.rev{revision}")
        self.response_schema = schemas.load(f"epmmp/0019-endpoint-metadata-get-response.rev{revision}")
        self.asked: asyncio.Queue[Asked] = asyncio.Queue()

    async def listen(self) -> None:
        """Returns when the server knows: nats-py's PING overtakes a SUB that waits, the second one cannot."""
        await self.nc.subscribe(subjects.metadata_get_request(self.instance), cb=self._take)
        await self.nc.flush()
        await self.nc.flush()

    async def _take(self, msg: Msg) -> None:
        fields = fastavro.schemaless_reader(io.BytesIO(msg.data), self.request_schema, None)
        assert isinstance(fields, dict)
        await self.asked.put(Asked(msg, fields))

    async def next(self) -> Asked:
        return await asyncio.wait_for(self.asked.get(), 20)

    def encode(self, asked: Asked, **changes: Any) -> bytes:
        answer = {
            "correlationId": asked.correlation_id,
            "timestamp": time.time_ns() // 1_000_000,
            "timeout": 0,
            "endpointId": asked.fields["endpointId"],
            "eTag": '"7"',
            "payload": b'{"k":"v"}',
            "statusCode": 200,
            "reasonPhrase": None,
            "appVersionName": "v1",
            **changes,
        }
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, self.response_schema, answer)
        return buffer.getvalue()

    async def answer(self, asked: Asked, **changes: Any) -> None:
        await self.nc.publish(asked.msg.reply, self.encode(asked, **changes))

    async def refuse(self, asked: Asked, status: int, reason: str = "why") -> None:
        await self.answer(
            asked, statusCode=status, reasonPhrase=reason, payload=None, eTag=None, appVersionName=None
        )


async def answer_one(repository: Repository) -> None:
    await repository.answer(await repository.next())


async def settle(client: EpmmpClient, repository: Repository) -> None:
    """Everything the repository has sent so far has reached the client: answers come in order."""
    await asyncio.gather(client.get("settle"), answer_one(repository))
