"""Everything of nats-py that we use and that it does not promise.

The range of versions for which this holds is pinned in ``pyproject.toml``;
``tests/wire/test_nats_py_contract.py`` shows it for the one installed. ``supported`` is asked before any of it
is relied on.
"""

from __future__ import annotations

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


async def drain(client: Client) -> None:
    """Until the transport's buffer is below its ceiling (and, on WebSocket, until it is sent at all)."""
    await transport_of(client).drain()  # type: ignore[no-untyped-call]


def server_info(client: Client) -> dict[str, Any]:
    """The INFO of the server that the client is connected to."""
    return client._server_info


def read_loop_ended(client: Client) -> bool:
    """Whether the read loop died although the client believes itself connected."""
    task = client._reading_task
    return client.is_connected and task is not None and task.done()


def pongs_received(client: Client) -> int:
    """PONGs of the client's own PINGs."""
    return client._pongs_received


def sid_of(subscription: Subscription) -> int:
    """The subscription's number on the wire; it stays the same through reconnects."""
    return subscription._id


async def handled(subscription: Subscription) -> None:
    """Until the callback is done with every message that has arrived."""
    await subscription._pending_queue.join()
