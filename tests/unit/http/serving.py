"""Servers of a test's own, and what they serve."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kaa_epr.http.asgi import App, Receive, Scope, Send
from kaa_epr.http.request import Gone, Request
from kaa_epr.http.server import HttpServer, Options
from kaa_epr.refusals import Refusal
from tests.support.raw_http import SECONDS


class Echo:
    """Answers with what was asked, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes, bytes]] = []
        self.begun = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        request = Request(scope, receive)
        status = 200
        try:
            body = b"".join([piece async for piece in request.pieces()])
        except Refusal as refusal:
            status, body = refusal.status, refusal.message().encode()
        except Gone:
            return
        self.asked.append((request.method, request.path, body))
        shown = {"method": request.method, "path": request.path.decode(), "body": body.decode()}
        shown["host"] = request.header(b"host") or ""
        await send(start(status))
        await send({"type": "http.response.body", "body": json.dumps(shown).encode()})


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": int(status), "headers": list(headers)}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def server_of(app: App, **options: Any) -> HttpServer:
    """Not started, on any free port."""
    defaults: dict[str, Any] = {
        "server": "test server",
        "settings": "test",
        "host": "127.0.0.1",
        "port": 0,
        "max_connections": 64,
        "max_head_bytes": 4096,
        "request_seconds": SECONDS,
        "backlog": 64,
    }
    return HttpServer(app, Options(**defaults | options))


@asynccontextmanager
async def serving(app: App, **options: Any) -> AsyncIterator[HttpServer]:
    """Started, and stopped in the end."""
    server = server_of(app, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
