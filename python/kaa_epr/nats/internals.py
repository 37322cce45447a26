"""Everything of nats-py that we use and that it does not promise.

The range of versions for which this holds is pinned in ``pyproject.toml``;
``tests/nats/test_nats_py_contract.py`` shows it for the one installed. ``supported`` is asked before any of
it is relied on.
"""

from __future__ import annotations

import asyncio
from typing import Any

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.aio.transport import Transport


def supported(client: Client) -> bool:
    """Whether a client that has not connected yet would take a transport of ours."""
    return getattr(client, "_transport", client) is None


def set_transport(client: Client, transport: Transport) -> None:
    """Before ``connect()``: nats-py keeps a transport that it finds, if that is true."""
    client._transport = transport


def transport_of(client: Client) -> Transport:
    """The transport in use. Raises ConnectionResetError before there is one."""
    transport = client._transport
    if transport is None:
        raise ConnectionResetError("not connected")
    return transport


def socket_transport(client: Client) -> asyncio.WriteTransport | None:
    """The event loop's transport under nats-py's own TCP transport; None under any other."""
    writer: asyncio.StreamWriter | None = getattr(client._transport, "_io_writer", None)
    return None if writer is None else writer.transport


async def drain(client: Client) -> None:
    """Until the transport's buffer is below its ceiling (and, on WebSocket, until it is sent at all)."""
    await transport_of(client).drain()  # type: ignore[no-untyped-call]


def server_info(client: Client) -> dict[str, Any]:
    """The INFO of the server that the client is connected to."""
    return client._server_info


async def send_ping(client: Client) -> asyncio.Future[bool]:
    """Writes a PING, ahead of the commands that are pending; the future is done when its PONG comes.

    It must not be cancelled: a PONG that meets a cancelled future ends nats-py's read loop. That is why
    ``flush(timeout)`` is not used here. When the connection is lost, it is never done.
    """
    future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    await client._send_ping(future)
    return future


def dead(client: Client) -> str | None:
    """Why the client will not come back by itself; None while it is connected or reconnecting."""
    if client.is_closed:
        return "client closed"
    reading, reconnecting = client._reading_task, client._reconnection_task
    if client.is_connected and reading is not None and reading.done():
        return "read loop ended"
    if not client.is_connected and reconnecting is not None and reconnecting.done():
        error = None if reconnecting.cancelled() else reconnecting.exception()
        return "reconnecting ended" + (f" with {type(error).__name__}: {error}" if error else "")
    return None


async def close(client: Client) -> None:
    """``Client.close()``, which cannot be called before ``connect()`` came far enough."""
    if client._flush_queue is not None:
        await client.close()


def pongs_received(client: Client) -> int:
    """PONGs of the client's own PINGs."""
    return client._pongs_received


def sid_of(subscription: Subscription) -> int:
    """The subscription's number on the wire; it stays the same through reconnects."""
    return subscription._id


async def handled(subscription: Subscription) -> None:
    """Until the callback is done with every message that has arrived."""
    await subscription._pending_queue.join()


def forget(client: Client, subscription: Subscription) -> None:
    """The subscription is not made again on a reconnect; its callback goes on with what has arrived."""
    client._remove_sub(subscription._id)


def end_callback(subscription: Subscription) -> None:
    """Ends the callback's task; ``Client.close`` does it only for subscriptions that it has not forgotten."""
    subscription._stop_processing()
