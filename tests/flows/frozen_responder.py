"""A responder that has stopped to change: a process of its own that answers every get of an instance alike.

``python -m tests.flows.frozen_responder URL INSTANCE ANSWER``: ANSWER is JSON, fields of the get response. A
message to ``thaw.INSTANCE`` has another one, which is answered from then on; its receipt is acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import nats
from nats.aio.msg import Msg

from tests.flows.client_repository import Repository


def answer_of(text: str | bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(text)
    payload = answer.get("payload")
    return {**answer, "payload": None if payload is None else payload.encode()}


async def main(url: str, instance: str, text: str) -> None:
    answer = answer_of(text)
    nc = await nats.connect(url)

    async def thaw(msg: Msg) -> None:
        nonlocal answer
        answer = answer_of(msg.data)
        await msg.respond(b"")

    await nc.subscribe(f"thaw.{instance}", cb=thaw)
    repository = Repository(nc, instance)
    await repository.listen()
    print("frozen", flush=True)  # noqa: T201 - what the test waits for
    while True:
        await repository.answer(await repository.asked.get(), **answer)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
