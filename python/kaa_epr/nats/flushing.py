"""Round trips that show what they claim.

nats-py writes the PING of ``flush()`` straight to the transport, ahead of the commands it has pending: the
PONG says nothing of a SUB, UNSUB or PUB made before the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from nats import errors as nats_errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from kaa_epr.nats import internals

FLUSH_TIMEOUT = 5.0
"""Seconds for a PING and its PONG."""


class ConnectionLost(nats_errors.Error):
    """The connection that was asked is gone."""

    def __str__(self) -> str:
        return "nats: connection lost"


async def confirmed_flush(
    client: Client, lost: asyncio.Event | None = None, seconds: float = FLUSH_TIMEOUT
) -> None:
    """Returns when the server has processed everything sent before the call.

    The first round trips let the pending bytes go out; one more, behind them, shows that they arrived.
    Raises nats.errors.Error when the connection is lost (at once, if ``lost`` tells it) or when the server
    does not answer in ``seconds``.
    """
    try:
        async with asyncio.timeout(seconds):
            await _round_trip(client, lost)
            while client.pending_data_size:
                await _round_trip(client, lost)
            await _round_trip(client, lost)
    except TimeoutError:
        raise nats_errors.FlushTimeoutError from None


async def _round_trip(client: Client, lost: asyncio.Event | None) -> None:
    if not client.is_connected or (lost is not None and lost.is_set()):
        raise ConnectionLost
    pong = await internals.send_ping(client)
    if lost is None:
        await asyncio.shield(pong)
        return
    losing = asyncio.get_running_loop().create_task(lost.wait())
    either: set[asyncio.Future[Any]] = {pong, losing}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        losing.cancel()
    if not pong.done():
        raise ConnectionLost


async def stop_subscriptions(
    client: Client,
    subscriptions: Sequence[Subscription],
    lost: asyncio.Event | None = None,
    seconds: float = FLUSH_TIMEOUT,
) -> None:
    """UNSUB and a PING behind it: when this returns, everything the server sent has been handled.

    nats-py keeps the subscriptions, so what was on its way still finds its callback. Its own drain loses
    that: its PING overtakes the UNSUB. Raises as ``confirmed_flush`` does.
    """
    lines = [b"UNSUB %d\r\n" % internals.sid_of(subscription) for subscription in subscriptions]
    internals.transport_of(client).write(b"".join(lines))
    await confirmed_flush(client, lost, seconds)
    for subscription in subscriptions:
        await internals.handled(subscription)
