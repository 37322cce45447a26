"""The routes of the management server.

``/health/live``: the event loop turns. ``/health/ready`` and ``/health`` (Kaa's): 200 when ready, else 503,
with reasons. ``/metrics``: Prometheus text. ``/info``: what runs. ``POST /flush``: drops the cache.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from kaa_epr.http.asgi import App, Headers, Receive, Scope, Send
from kaa_epr.http.request import Answer, Request
from kaa_epr.http.routing import SERVER, NotAllowed, Routes
from kaa_epr.management.health import Health
from kaa_epr.metrics import CONTENT_TYPE
from kaa_epr.refusals import Refusal

HEADERS: Final[Headers] = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
"""Of every answer."""

Handle = Callable[[Request], Answer]


class FromBrowser(Refusal):
    """Only browsers send an Origin: a page somewhere must not reach what listens on its reader's loopback."""

    status = HTTPStatus.FORBIDDEN
    text = "not for web pages"


def create_app(
    health: Health,
    metrics: Callable[[], bytes],
    info: Callable[[], Mapping[str, Any]],
    flush: Callable[[], None] | None = None,
) -> App:
    """The ASGI application.

    ``metrics`` renders Prometheus text, ``info`` gives JSON-able facts, ``flush`` drops the cache.
    """

    def ready(_request: Request) -> Answer:
        report = health.report()
        return _json(report.as_json(), HTTPStatus.OK if report.ready else HTTPStatus.SERVICE_UNAVAILABLE)

    routes = Routes[Handle]()
    routes.add("GET", "/health/live", lambda _: _json({"status": "UP"}))
    routes.add("GET", "/health/ready", ready)
    routes.add("GET", "/health", ready)
    routes.add("GET", "/metrics", lambda _: _answer(metrics(), CONTENT_TYPE.encode("ascii")))
    routes.add("GET", "/info", lambda _: _json(info()))
    if flush is not None:
        routes.add("POST", "/flush", _dropping(flush))

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = _found(routes, request)
        except Refusal as refusal:
            answer = _refused(refusal)
        await answer.send(send)

    return serve


def _found(routes: Routes[Handle], request: Request) -> Answer:
    if request.path == SERVER:
        return Answer(HTTPStatus.NO_CONTENT, [*HEADERS, (b"allow", routes.allowed.encode("ascii"))])
    return routes.find(request.method, request.path).target(request)


def _dropping(flush: Callable[[], None]) -> Handle:
    def drop_cache(request: Request) -> Answer:
        if request.header(b"origin") is not None:
            raise FromBrowser
        flush()
        return _json({"status": "flushed"})

    return drop_cache


def _refused(refusal: Refusal) -> Answer:
    answer = _json({"message": refusal.message()}, refusal.status)
    if isinstance(refusal, NotAllowed):
        answer.headers.append((b"allow", refusal.allowed.encode("ascii")))
    return answer


def _json(value: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Answer:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _answer(text.encode(), b"application/json", status)


def _answer(body: bytes, content_type: bytes, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(status, [*HEADERS, (b"content-type", content_type)], body)
