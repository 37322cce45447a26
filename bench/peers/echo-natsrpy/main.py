"""The least that a natsrpy subscription can do: send the payload back."""

from __future__ import annotations

import asyncio
import os
import signal

from natsrpy import Message, Nats


async def main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = Nats([os.environ["NATS_URL"]])
    await client.startup()

    async def echo(message: Message) -> None:
        if message.reply is not None:
            await client.publish(message.reply, message.payload)

    subject = f"kaa.v1.service.{os.environ['INSTANCE']}.epmmp.ep-metadata-get-request"
    async with client.subscribe(subject, callback=echo, queue="bench"):
        await client.flush()
        print("ready", flush=True)
        await stop.wait()
    await client.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
