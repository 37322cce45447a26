"""Answers as bytes."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from kaa_epr.http.asgi import Headers
from kaa_epr.refusals import Refusal

JSON: Final = b"application/json"
_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode("ascii"))
    for status in HTTPStatus
}


class _Clock:
    """The Date header, made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._line = b""

    def line(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = b"date: %b\r\n" % formatdate(second, usegmt=True).encode("ascii")
        return self._line


_CLOCK: Final = _Clock()


def head(status: int, headers: Headers) -> bytes:
    """Status line and headers. Raises ValueError for what would break out of its line."""
    lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers):
        raise ValueError("a header holds a line end")
    return b"%b%b%b\r\n" % (_LINES[status], _CLOCK.line(), lines)


def chunk(data: bytes, *, last: bool) -> bytes:
    """A piece of a body whose length was not told."""
    end = b"0\r\n\r\n" if last else b""
    return b"%x\r\n%b\r\n%b" % (len(data), data, end) if data else end


def refusal(error: Refusal, headers: Headers) -> bytes:
    """A whole answer, after which the connection ends."""
    return message(error.status, error.message(), headers)


def message(status: HTTPStatus, text: str, headers: Headers) -> bytes:
    """A whole answer with the error body of Kaa's services, after which the connection ends."""
    body = json.dumps({"message": text}, ensure_ascii=False).encode()
    own = [(b"content-type", JSON), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    return head(status, [*own, *headers]) + body
