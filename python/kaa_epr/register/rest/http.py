"""Requests read within limits, and answers written alike, for all operations."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from kaa_epr.http.asgi import Headers
from kaa_epr.http.request import Answer, Gone, Request
from kaa_epr.http.routing import NotAllowed
from kaa_epr.refusals import InternalError, Invalid, Refusal, Stored, Unavailable
from kaa_epr.register.idempotency import UnderWay
from kaa_epr.register.intake.budget import Share

API: Final = "/api/v1"
JSON: Final = "application/json"
STORED: Final = "Kaa-Epr-Stored"
"""Of answers 500 and 503: whether the change that was asked for is stored; a value of ``refusals.Stored``."""
REPLAYED: Final = "Idempotency-Replayed"
"""Of the answer to a request whose key was used before: it is the first one's."""
SAFE: Final = ("GET", "HEAD", "OPTIONS", "TRACE")
"""Methods that change nothing (RFC 9110, 9.2.1)."""
JSON_PATCH: Final = "application/json-patch+json"

_COMMON: Final[Headers] = [(b"x-content-type-options", b"nosniff")]
_NO_STORE: Final = (b"cache-control", b"no-store")
_NO_CACHE: Final = (b"cache-control", b"no-cache")
_JSON_TYPE: Final = (b"content-type", JSON.encode("ascii"))

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
    text = "Content-Type: must be {expected}; the body is {what}"

    def __init__(self, expected: str, what: str) -> None:
        super().__init__(expected, what)
        self.expected = expected
        self.what = what


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operation answers: JSON of one of three kinds, or nothing."""

    status: HTTPStatus = HTTPStatus.OK
    body: Any = None
    """Of what JSON has."""
    etag: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    has_body: bool = True
    text: bytes | None = None
    """JSON text that is there already, in place of ``body``."""
    pieces: AsyncIterator[bytes] | None = None
    """JSON text in pieces, in place of ``body``, for what is too large to be made in one go.

    Each piece is asked for once the client has taken most of those before it, and should take a millisecond
    at most. What can be refused is to be refused before: an error in here can only cut the answer short.
    """

    def answer(self, correlation_id: str) -> Answer:
        """On the wire."""
        headers = [*_COMMON, (b"correlation-id", correlation_id.encode("ascii"))]
        headers += [
            (name.lower().encode("ascii"), value.encode("latin-1")) for name, value in self.headers.items()
        ]
        if self.etag is None:
            headers.append(_NO_STORE)
        else:
            headers.append((b"etag", self.etag.encode("latin-1")))
            headers.append(_NO_CACHE)
        if not self.has_body:
            return Answer(self.status, headers)
        headers.append(_JSON_TYPE)
        if self.pieces is not None:
            return Answer(self.status, headers, pieces=self.pieces)
        return Answer(self.status, headers, _printed(self.body) if self.text is None else self.text)


def _printed(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def empty(status: HTTPStatus = HTTPStatus.NO_CONTENT, etag: str | None = None) -> Reply:
    """An answer without a body."""
    return Reply(status, etag=etag, has_body=False)


def replay_header(replayed: bool) -> dict[str, str]:
    """Tells a client that an earlier request did what it asks for."""
    return {REPLAYED: "true"} if replayed else {}


def refusal(error: Refusal, method: str) -> Reply:
    """The error body of Kaa's services: ``{"message": …}``, and what else a client can act on.

    ``method``: of the request; those that change something are told what became of the change.
    """
    headers = {}
    if method not in SAFE and isinstance(error, InternalError):
        headers[STORED] = Stored.UNKNOWN.value
    if method not in SAFE and isinstance(error, Unavailable):
        headers[STORED] = error.stored.value
    if error.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status is HTTPStatus.SERVICE_UNAVAILABLE or isinstance(error, UnderWay):
        headers["Retry-After"] = "1"
    if isinstance(error, NotAllowed):
        headers["Allow"] = error.allowed
    return Reply(error.status, {"message": error.message()}, headers=headers)


def error_headers() -> Headers:
    """Of answers that the server gives before any operation is known."""
    return [*_COMMON, _NO_STORE, (b"correlation-id", new_correlation_id().encode("ascii"))]


def correlation_id_of(request: Request) -> str:
    """The request's own, or a new one."""
    given = request.header(b"correlation-id")
    return given if given is not None and _CORRELATION.fullmatch(given) else new_correlation_id()


def new_correlation_id() -> str:
    """20 characters in the form of an xid, as Kaa's services make them: seconds, then randomness."""
    number = int.from_bytes(int(time.time()).to_bytes(4, "big") + secrets.token_bytes(8), "big") << 4
    return "".join(_XID_ALPHABET[number >> shift & 31] for shift in range(95, -1, -5))


async def read_body(request: Request, limit: int, share: Share) -> bytes:
    """The body. Raises ``BodyTooLarge``, ``Invalid`` or ``Unavailable``."""
    declared = request.header(b"content-length")
    if declared is not None and declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(limit)
    body = bytearray()
    try:
        async for piece in request.pieces():
            if len(body) + len(piece) > limit:
                raise BodyTooLarge(limit)
            share.take(len(piece))
            body += piece
    except Gone:
        raise Invalid("body", "the connection was closed before its end") from None
    return bytes(body)
