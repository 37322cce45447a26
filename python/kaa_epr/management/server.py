"""The management server: health, metrics and information over HTTP."""

from __future__ import annotations

from typing import Final

from kaa_epr.http.asgi import App
from kaa_epr.http.server import HttpServer, Options
from kaa_epr.management.app import HEADERS

MAX_CONNECTIONS: Final = 64
"""Probes and scrapers need a handful."""
MAX_HEAD_BYTES: Final = 16 * 1024
REQUEST_SECONDS: Final = 10.0


class ManagementServer(HttpServer):
    """One HTTP server; ``start`` and ``stop`` once each, on the same loop."""

    def __init__(self, app: App, *, host: str, port: int, request_seconds: float = REQUEST_SECONDS) -> None:
        options = Options(
            server="management server",
            settings="management",
            host=host,
            port=port,
            max_connections=MAX_CONNECTIONS,
            max_head_bytes=MAX_HEAD_BYTES,
            request_seconds=request_seconds,
            backlog=MAX_CONNECTIONS,
            error_headers=lambda: HEADERS,
        )
        super().__init__(app, options)
