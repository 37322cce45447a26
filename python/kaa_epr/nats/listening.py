"""Listening to a subject for people: a connection of its own, one message after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple

from kaa_epr.config.nats import NatsSettings
from kaa_epr.nats.flushing import confirmed_flush
from kaa_epr.nats.options import connect_options
from kaa_epr.nats.tolerant import TolerantClient


class Heard(NamedTuple):
    """One message."""

    subject: str
    headers: dict[str, str]
    payload: bytes


async def listen(settings: NatsSettings, name: str, subject: str) -> AsyncGenerator[Heard | None, None]:
    """First None, when the server has confirmed the subscription; then what comes, until closed."""
    client = TolerantClient()
    await client.connect(**connect_options(settings, name))
    try:
        subscription = await client.subscribe(subject)
        await confirmed_flush(client)
        yield None
        async for message in subscription.messages:
            yield Heard(message.subject, dict(message.headers or {}), message.data)
    finally:
        await client.close()
