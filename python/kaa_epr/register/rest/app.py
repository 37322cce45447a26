"""The ASGI application: routes from the table of operations, and what is the same for all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from kaa_epr.http.asgi import App, Receive, Scope, Send
from kaa_epr.http.auth import Authenticator
from kaa_epr.http.request import Answer, Request
from kaa_epr.http.routing import SERVER, Routes
from kaa_epr.log import correlation, get_logger
from kaa_epr.refusals import InternalError, Invalid, Refusal
from kaa_epr.register.intake.budget import Budget
from kaa_epr.register.rest.call import Backend, Call
from kaa_epr.register.rest.http import (
    API,
    Reply,
    UnsupportedType,
    correlation_id_of,
    error_headers,
    read_body,
    refusal,
)
from kaa_epr.register.rest.operations import OPERATIONS, Operation
from kaa_epr.register.rest.page import render_page
from kaa_epr.register.rest.query import read_all

_log = get_logger(__name__)

_POLICY: Final = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")
_TAIL: Final = "{metadataKey}"
"""A key may hold slashes; it is the last part of its path."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of request bodies, in bytes: of one, of one batch registration, of all under way."""

    body: int
    batch: int
    budget: Budget


@dataclass(frozen=True, slots=True)
class _Page:
    """What is the same for whoever asks."""

    content_type: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class _Place:
    """An operation, and what stands before ``/api/v1`` in its path."""

    operation: Operation
    prefix: str


def create_app(
    backend: Backend,
    authenticator: Authenticator,
    limits: Limits,
    prefix: str,
    document: Mapping[str, Any],
) -> App:
    """The application; ``document`` is the OpenAPI document that it serves."""
    routes = Routes[_Place | _Page]()
    shown = _Page(b"application/json", json.dumps(document, ensure_ascii=False).encode())
    page = _Page(b"text/html; charset=utf-8", render_page(document).encode())
    for before in dict.fromkeys(("", prefix)):
        routes.add("GET", f"{before}{API}/openapi.json", shown)
        routes.add("GET", f"{before}{API}/docs", page)
        for operation in OPERATIONS:
            path = operation.path.replace(_TAIL, f"{_TAIL[:-1]}...}}")
            routes.add(operation.method, f"{before}{API}{path}", _Place(operation, before))
    return _Rest(routes, backend, authenticator, limits).serve


class _Rest:
    def __init__(
        self,
        routes: Routes[_Place | _Page],
        backend: Backend,
        authenticator: Authenticator,
        limits: Limits,
    ) -> None:
        self._routes = routes
        self._backend = backend
        self._authenticator = authenticator
        self._limits = limits

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        correlation_id = correlation_id_of(request)
        with correlation(correlation_id):
            try:
                answer = await self._answer(request, correlation_id)
            except Refusal as error:
                answer = refusal(error, request.method).answer(correlation_id)
            except Exception:
                # The error itself goes on to the server, which logs it; the caller learns nothing of it.
                _log.error("a request met a bug", correlation_id=correlation_id)
                await refusal(InternalError(), request.method).answer(correlation_id).send(send)
                raise
            await answer.send(send)

    async def _answer(self, request: Request, correlation_id: str) -> Answer:
        if request.path == SERVER:
            allow = {"Allow": self._routes.allowed}
            return Reply(HTTPStatus.NO_CONTENT, headers=allow, has_body=False).answer(correlation_id)
        match = self._routes.find(request.method, request.path)
        if isinstance(match.target, _Page):
            headers = [*error_headers(), (b"content-type", match.target.content_type), _POLICY]
            return Answer(HTTPStatus.OK, headers, match.target.content)
        reply = await self._carry_out(request, match.target, match.parts, correlation_id)
        return reply.answer(correlation_id)

    async def _carry_out(
        self, request: Request, place: _Place, parts: Mapping[str, str], correlation_id: str
    ) -> Reply:
        operation = place.operation
        principal = await self._authenticator.check(request.header(b"authorization"), operation.scope)
        query = read_all(operation.query, request.query)
        if operation.long_read:
            request.end_with_client()
        limits = self._limits
        with limits.budget.share() as share:
            content = b""
            if operation.body is not None:
                _check_type(request, operation)
                limit = limits.batch if operation.large_body else limits.body
                content = await read_body(request, limit, share)
                if not content or content.isspace():
                    raise Invalid("body", f"is empty; it must be {operation.body_text}")
            call = Call(request, parts, query, content, correlation_id, place.prefix, principal)
            return await operation.handle(self._backend, call)


def _check_type(request: Request, operation: Operation) -> None:
    given = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
    if given != operation.media_type:
        raise UnsupportedType(operation.media_type, operation.body_text)
