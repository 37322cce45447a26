"""Batches: one key batch update of 19/EPMMP for many endpoints, one REST registration of many endpoints."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from bench.write_load import KEY, OK_TAIL, NatsConnection, head, long, text
from kaa_epr.messages import subjects


async def key_batches(nats: str, instance: str, endpoints: Sequence[str], rounds: int) -> list[float]:
    """Seconds that each of ``rounds`` key batch updates of all ``endpoints`` took, one at a time."""
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    inbox = f"_INBOX.bench{time.time_ns()}"
    connection = await NatsConnection.open(
        nats, [inbox], lambda _subject, payload: answers.put_nowait(payload)
    )
    subject = subjects.targeted(instance, subjects.EPMMP, subjects.KEY_BATCH_UPDATE_REQUEST)
    took = []
    for number in range(rounds):
        value = text(b"%d" % (time.time_ns() + number))
        commands = b"".join(text(endpoint) + text(KEY) + value for endpoint in endpoints)
        payload = head("bench") + long(len(endpoints)) + commands + b"\x00"
        begun = time.perf_counter()
        connection.write(f"PUB {subject} {inbox} {len(payload)}\r\n".encode() + payload + b"\r\n")
        answer = await answers.get()
        took.append(time.perf_counter() - begun)
        if not answer.endswith(OK_TAIL):
            raise RuntimeError("a key batch update was refused")
    connection.close()
    return took


async def registrations(
    nats: str, instance: str, rest: str, count: int, rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds to the 202, and to the last of the ``count`` events, of each batch registration."""
    heard: asyncio.Queue[None] = asyncio.Queue()
    connection = await NatsConnection.open(
        nats, [subjects.registered(instance)], lambda _subject, _payload: heard.put_nowait(None)
    )
    accepted, told = [], []
    for _ in range(rounds):
        body = {
            "appVersion": {"name": "bench-v1"},
            "endpoints": [{"metadata": {"serial": number, "site": "bench"}} for number in range(count)],
        }
        begun = time.perf_counter()
        await asyncio.to_thread(_post, rest, body)
        accepted.append(time.perf_counter() - begun)
        for _ in range(count):
            await heard.get()
        told.append(time.perf_counter() - begun)
    connection.close()
    return accepted, told


def _post(rest: str, body: dict[str, Any]) -> None:
    at = urlsplit(rest)
    connection = HTTPConnection(at.hostname or "", at.port, timeout=30)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/api/v1/endpoints/batch", json.dumps(body), headers)
        answer = connection.getresponse()
        if answer.status != 202:
            raise RuntimeError(f"a batch registration was answered {answer.status}")
        answer.read()
    finally:
        connection.close()
