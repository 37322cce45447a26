"""Requests read within limits, and answers written alike, for all operations."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from kaa_epr.refusals import Invalid, Refusal
from kaa_epr.register.decide.preconditions import Preconditions
from kaa_epr.register.decide.values import parse_json, text_of
from kaa_epr.register.intake.budget import Share

API: Final = "/api/v1"
CORRELATION_ID: Final = "Correlation-ID"
JSON: Final = "application/json"
JSON_PATCH: Final = "application/json-patch+json"
COMMON_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

_XID_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuv"
_CORRELATION: Final = re.compile(r"[!-~]{1,256}")


class BodyTooLarge(Refusal):
    """More than the operation takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    text = "body: larger than {limit} bytes"

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class UnsupportedType(Refusal):
    """Not the content type that the operation takes."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    text = "Content-Type: must be {expected}"

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operation answers; ``body`` is JSON-able as stored values are, or absent."""

    status: HTTPStatus = HTTPStatus.OK
    body: Any = None
    etag: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    has_body: bool = True

    def response(self, correlation_id: str) -> Response:
        """On the wire."""
        headers = {**COMMON_HEADERS, CORRELATION_ID: correlation_id, **self.headers}
        if self.etag is not None:
            headers["ETag"] = self.etag
            headers["Cache-Control"] = "no-cache"
        if not self.has_body:
            return Response(status_code=self.status, headers=headers)
        return Response(text_of(self.body), status_code=self.status, headers=headers, media_type=JSON)


def empty(status: HTTPStatus = HTTPStatus.NO_CONTENT, etag: str | None = None) -> Reply:
    """An answer without a body."""
    return Reply(status, etag=etag, has_body=False)


def refusal(error: Refusal) -> Reply:
    """The error body of Kaa's services: ``{"message": …}``."""
    headers = {}
    if error.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    return Reply(error.status, {"message": error.message()}, headers=headers)


def correlation_id_of(request: Request) -> str:
    """The request's own, or a new one."""
    given = request.headers.get(CORRELATION_ID, "")
    return given if _CORRELATION.fullmatch(given) else new_correlation_id()


def new_correlation_id() -> str:
    """20 characters in the form of an xid, as Kaa's services make them: seconds, then randomness."""
    number = int.from_bytes(int(time.time()).to_bytes(4, "big") + secrets.token_bytes(8), "big") << 4
    return "".join(_XID_ALPHABET[number >> shift & 31] for shift in range(95, -1, -5))


def preconditions_of(request: Request, key: str | None = None) -> Preconditions:
    """The conditional headers; several of one name count as one list."""
    return Preconditions(_joined(request, "if-match"), _joined(request, "if-none-match"), key)


def _joined(request: Request, name: str) -> str | None:
    values = request.headers.getlist(name)
    return ", ".join(values) if values else None


def check_target(request: Request) -> None:
    """Raises ``Invalid`` for percent-encoded bytes that are no UTF-8.

    They were decoded with replacement characters: different keys would become the same.
    """
    for part, raw in (("path", request.scope["raw_path"]), ("query", request.scope["query_string"])):
        try:
            unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            raise Invalid(part, "its percent-encoded bytes are not UTF-8") from None


async def json_body(request: Request, media_type: str, limit: int, share: Share) -> Any:
    """The body as JSON. Raises ``UnsupportedType``, ``BodyTooLarge``, ``Invalid`` or ``Unavailable``."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != media_type:
        raise UnsupportedType(media_type)
    return parse_json(await _read(request, limit, share), "body")


async def _read(request: Request, limit: int, share: Share) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(limit)
    body = bytearray()
    try:
        async for chunk in request.stream():
            if len(body) + len(chunk) > limit:
                raise BodyTooLarge(limit)
            share.take(len(chunk))
            body += chunk
    except ClientDisconnect:
        raise Invalid("body", "the connection was closed before its end") from None
    return bytes(body)
