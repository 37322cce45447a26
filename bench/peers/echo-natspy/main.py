"""The least that a nats-py subscription callback can do: send the payload back."""

from __future__ import annotations

import asyncio
import os
import signal

import nats
import uvloop
from nats.aio.msg import Msg


async def main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    connection = await nats.connect(os.environ["NATS_URL"])

    async def echo(message: Msg) -> None:
        await connection.publish(message.reply, message.data)

    subject = f"kaa.v1.service.{os.environ['INSTANCE']}.epmmp.ep-metadata-get-request"
    await connection.subscribe(
        subject, queue="bench", cb=echo, pending_msgs_limit=1_000_000, pending_bytes_limit=1 << 30
    )
    await connection.flush()
    print("ready", flush=True)
    await stop.wait()
    await connection.close()


if __name__ == "__main__":
    uvloop.run(main())
