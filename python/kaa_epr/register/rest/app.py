"""The ASGI application: routes from the table of operations, and what is the same for all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from kaa_epr.http.auth import Authenticator
from kaa_epr.log import correlation, get_logger
from kaa_epr.refusals import Refusal
from kaa_epr.register.intake.budget import Budget
from kaa_epr.register.rest.call import Backend, Call
from kaa_epr.register.rest.http import (
    API,
    COMMON_HEADERS,
    Reply,
    check_target,
    correlation_id_of,
    json_body,
    refusal,
)
from kaa_epr.register.rest.operations import OPERATIONS, Operation
from kaa_epr.register.rest.page import render_page
from kaa_epr.register.rest.query import read_all

_log = get_logger(__name__)

_PAGE_POLICY: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of request bodies, in bytes: of one, of one batch registration, of all under way."""

    body: int
    batch: int
    budget: Budget


def create_app(
    backend: Backend,
    authenticator: Authenticator,
    limits: Limits,
    prefix: str,
    document: Mapping[str, Any],
) -> Starlette:
    """The application; ``document`` is the OpenAPI document that it serves."""
    page = render_page(document)

    async def openapi(_request: Request) -> Response:
        return JSONResponse(dict(document), headers=COMMON_HEADERS)

    async def docs(_request: Request) -> Response:
        return HTMLResponse(page, headers={**COMMON_HEADERS, **_PAGE_POLICY})

    by_path: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    routes = []
    for base in dict.fromkeys((API, prefix + API)):
        routes.append(Route(f"{base}/openapi.json", openapi))
        routes.append(Route(f"{base}/docs", docs))
        for path, operations in by_path.items():
            endpoint = _endpoint(operations, backend, authenticator, limits)
            # A key may hold slashes; it is the last part of its path.
            pattern = base + path.replace("{metadataKey}", "{metadataKey:path}")
            routes.append(Route(pattern, endpoint, methods=list(operations)))
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refuse, Exception: _fail})
    app.router.redirect_slashes = False
    return app


def _endpoint(
    operations: Mapping[str, Operation], backend: Backend, authenticator: Authenticator, limits: Limits
) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        operation = operations["GET" if request.method == "HEAD" else request.method]
        correlation_id = correlation_id_of(request)
        request.state.correlation_id = correlation_id
        with correlation(correlation_id):
            try:
                await authenticator.check(request.headers.get("authorization"), operation.scope)
                reply = await _carry_out(request, operation, backend, limits, correlation_id)
            except Refusal as error:
                reply = refusal(error)
        return reply.response(correlation_id)

    return serve


async def _carry_out(
    request: Request, operation: Operation, backend: Backend, limits: Limits, correlation_id: str
) -> Reply:
    check_target(request)
    query = read_all(operation.query, request.query_params)
    with limits.budget.share() as share:
        body = None
        if operation.body is not None:
            limit = limits.batch if operation.large_body else limits.body
            body = await json_body(request, operation.media_type, limit, share)
        call = Call(request, request.path_params, query, body, correlation_id)
        return await operation.handle(backend, call)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = {**COMMON_HEADERS, **(error.headers or {}), "Correlation-ID": correlation_id_of(request)}
    return JSONResponse({"message": error.detail}, error.status_code, headers=headers)


async def _fail(request: Request, _error: Exception) -> Response:
    # The error itself goes on to the server, which logs it; the caller learns nothing of it.
    correlation_id = getattr(request.state, "correlation_id", "")
    _log.error("a request met a bug", correlation_id=correlation_id)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    headers = {**COMMON_HEADERS, "Correlation-ID": correlation_id}
    return JSONResponse({"message": status.phrase}, status, headers=headers)
