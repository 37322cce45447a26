"""The routes of the management server.

``/health/live``: the event loop turns. ``/health/ready`` and ``/health`` (Kaa's): 200 when ready, else 503,
with reasons. ``/metrics``: Prometheus text. ``/info``: what runs. ``POST /flush``: drops the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kaa_epr.management.health import Health
from kaa_epr.metrics import CONTENT_TYPE

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def create_app(
    health: Health,
    metrics: Callable[[], bytes],
    info: Callable[[], Mapping[str, Any]],
    flush: Callable[[], None] | None = None,
) -> Starlette:
    """The ASGI application.

    ``metrics`` renders Prometheus text, ``info`` gives JSON-able facts, ``flush`` drops the cache.
    """

    async def show_metrics(_request: Request) -> Response:
        return Response(metrics(), headers={**_HEADERS, "Content-Type": CONTENT_TYPE})

    async def show_info(_request: Request) -> Response:
        return JSONResponse(dict(info()), headers=_HEADERS)

    routes = [*_health_routes(health), Route("/metrics", show_metrics), Route("/info", show_info)]
    if flush is not None:
        routes.append(_flush_route(flush))
    return Starlette(routes=routes, exception_handlers={HTTPException: _refuse, Exception: _fail})


def _health_routes(health: Health) -> list[Route]:
    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "UP"}, headers=_HEADERS)

    async def ready(_request: Request) -> Response:
        report = health.report()
        status = HTTPStatus.OK if report.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse(report.as_json(), status, headers=_HEADERS)

    return [Route("/health/live", live), Route("/health/ready", ready), Route("/health", ready)]


def _flush_route(flush: Callable[[], None]) -> Route:
    async def drop_cache(request: Request) -> Response:
        if "origin" in request.headers:
            # Only browsers send one: a page somewhere must not reach what listens on its reader's loopback.
            raise HTTPException(HTTPStatus.FORBIDDEN, "not for web pages")
        flush()
        return JSONResponse({"status": "flushed"}, headers=_HEADERS)

    return Route("/flush", drop_cache, methods=["POST"])


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = {**_HEADERS, **(error.headers or {})}
    return JSONResponse({"message": error.detail}, error.status_code, headers=headers)


async def _fail(_request: Request, _error: Exception) -> Response:
    # The error itself goes on to the server, which logs it; the caller learns nothing of it.
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return JSONResponse({"message": status.phrase}, status, headers=_HEADERS)
