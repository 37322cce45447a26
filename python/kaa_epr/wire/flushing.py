"""Round trips that show what they claim.

nats-py writes the PING of ``flush()`` straight to the transport, ahead of the commands it has pending: the
PONG says nothing of a SUB, UNSUB or PUB made before the call.
"""

from __future__ import annotations

from nats.aio.client import Client
from nats.aio.subscription import Subscription

from kaa_epr.wire import internals

FLUSH_TIMEOUT = 5
"""Seconds for a PING and its PONG (nats-py takes whole seconds)."""


async def confirmed_flush(client: Client) -> None:
    """Returns when the server has processed everything sent before the call.

    The first round trips let the pending bytes go out; one more, behind them, shows that they arrived.
    Raises nats.errors.Error when the connection is lost or does not answer in ``FLUSH_TIMEOUT``.
    """
    await client.flush(FLUSH_TIMEOUT)
    while client.pending_data_size:
        await client.flush(FLUSH_TIMEOUT)
    await client.flush(FLUSH_TIMEOUT)


async def stop_subscription(client: Client, subscription: Subscription) -> None:
    """UNSUB and a PING behind it: when this returns, everything the server sent has been handled.

    nats-py keeps the subscription, so what was on its way still finds its callback. Its own drain loses that:
    its PING overtakes the UNSUB.
    """
    internals.transport_of(client).write(b"UNSUB %d\r\n" % internals.sid_of(subscription))
    await confirmed_flush(client)
    await internals.handled(subscription)
