"""The REST server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kaa_epr.config.register import RestSettings
from kaa_epr.http.asgi import App
from kaa_epr.http.server import HttpServer, Options
from kaa_epr.register.rest.http import error_headers

_MAX_HEAD_BYTES: Final = 64 * 1024
"""A key of the longest kind, percent-encoded, and a token."""
_BACKLOG: Final = 1024


def create_server(
    app: App, settings: RestSettings, *, shared: bool, on_refused: Callable[[], None]
) -> HttpServer:
    """``shared``: several workers listen on the port. ``on_refused``: told of each connection too many."""
    return HttpServer(
        app,
        Options(
            server="REST server",
            settings="register.rest",
            host=settings.host,
            port=settings.port,
            max_connections=settings.max_connections,
            max_head_bytes=_MAX_HEAD_BYTES,
            request_seconds=settings.request_timeout,
            backlog=_BACKLOG,
            shared=shared,
            cert_file=settings.tls.cert_file,
            key_file=settings.tls.key_file,
            on_refused=on_refused,
            error_headers=error_headers,
        ),
    )
