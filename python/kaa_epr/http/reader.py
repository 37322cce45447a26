"""The requests of one connection, from its bytes as they come. No I/O, no clock.

llhttp (by httptools) judges heads and decodes chunks. Where a head ends is found here, so that it is given
exactly one head at a time: nothing behind a request is parsed before that request was answered.
"""

from __future__ import annotations

import re
from typing import Final

import httptools

from kaa_epr.http.head import Head, Line, head_of, request_line
from kaa_epr.http.refused import HeadTooLarge, Malformed, TooManyHeaders, UnknownMethod

MAX_HEADERS: Final = 100
_END: Final = b"\r\n\r\n"
_EMPTY_LINES: Final = re.compile(rb"\A(?:\r\n)+")
_CHUNK_OVERHEAD: Final = 16
"""Bytes of framing for each byte of the body, beyond what a head may take: chunks of one byte need five."""


class RequestReader:
    """Fed with bytes; gives one request after another."""

    def __init__(self, max_head_bytes: int) -> None:
        self._max_head_bytes = max_head_bytes
        self._pending = b""
        self._scanned = 0
        self._parser: httptools.HttpRequestParser | None = None
        self._in_head = False
        self._body: list[bytes] = []
        self._remaining: int | None = 0
        self._overhead = 0
        self.complete = True
        """Whether all of the current request was read."""
        self.may_stay = True
        """Whether another request may follow the current one on this connection."""

    @property
    def waiting(self) -> int:
        """Bytes that were fed and not read yet."""
        return len(self._pending)

    @property
    def remaining(self) -> int | None:
        """Bytes of the body that have not been read; None where chunks do not tell."""
        return self._remaining

    def feed(self, data: bytes) -> None:
        """What came."""
        self._pending = self._pending + data if self._pending else data

    def close(self) -> None:
        """Nothing more is read; parser and reader let go of each other."""
        self._parser = None
        self._pending = b""

    # --- heads ----------------------------------------------------------------------------------------------
    def head(self) -> Head | None:
        """The next request's head, once it is there. Raises a ``Refusal``, and is of no use any more."""
        assert self.may_stay, "what follows was read in part, or is no request"
        pending = self._pending
        if pending.startswith(b"\r\n"):
            # RFC 9112, 2.2: empty lines mean nothing before a request line.
            pending = self._pending = _EMPTY_LINES.sub(b"", pending, 1)
            self._scanned = 0
        end = pending.find(_END, max(0, self._scanned - len(_END) + 1))
        size = len(pending) if end < 0 else end + len(_END)
        if size > self._max_head_bytes:
            raise HeadTooLarge(self._max_head_bytes)
        if end < 0:
            self._scanned = size
            _check_begin(pending)
            return None
        self._pending = pending[size:]
        self._scanned = 0
        return self._parsed(pending[:size])

    def _parsed(self, data: bytes) -> Head:
        first, *lines = data[: -len(_END)].split(b"\r\n")
        if len(lines) > MAX_HEADERS:
            raise TooManyHeaders(MAX_HEADERS)
        line = request_line(first)
        self.complete = False
        upgrade = False
        self._in_head = True
        try:
            self._parse(data)
        except httptools.HttpParserUpgrade:
            # An offer that we do not take up. The parser believes that HTTP ends here.
            upgrade = True
        finally:
            self._in_head = False
        # What llhttp has let pass is a name, a colon and a value on each line.
        pairs = [text.partition(b":") for text in lines]
        head = head_of(line, [(name.lower(), value.strip()) for name, _, value in pairs])
        if head.version == "1.0":
            self.may_stay = False
        self._overhead = self._max_head_bytes
        self._remaining = head.length
        self.complete = head.length == 0
        if upgrade:
            self._begin_anew(line, head)
        return head

    def _begin_anew(self, line: Line, head: Head) -> None:
        """A parser for the body, and for the requests behind it."""
        self._parser = None
        if self.complete:
            return
        framing = (
            b"Transfer-Encoding: chunked" if head.length is None else b"Content-Length: %d" % head.length
        )
        may_stay = self.may_stay
        self._in_head = True
        self._parse(b"%b / HTTP/1.1\r\n%b\r\n\r\n" % (line.method, framing))
        self._in_head = False
        self.may_stay = may_stay

    # --- bodies ---------------------------------------------------------------------------------------------
    def body(self) -> bytes:
        """What there is of the current request's body and was not read before. Raises ``Malformed``."""
        if self.complete or not self._pending:
            return b""
        if self._remaining is None:
            return self._chunks()
        data = self._pending[: self._remaining]
        self._pending = self._pending[self._remaining :]
        self._remaining -= len(data)
        self._parse(data)
        self.complete = self._remaining == 0
        return data

    def _chunks(self) -> bytes:
        size = len(self._pending)
        pending, self._pending = self._pending, b""
        self._parse(pending)
        data = b"".join(self._body)
        self._body.clear()
        self._overhead += _CHUNK_OVERHEAD * len(data) - (size - len(data))
        if self._overhead < 0 and not self.complete:
            raise Malformed("chunk extensions or trailers are too long")
        return data

    def _parse(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserInvalidMethodError:
            raise UnknownMethod from None
        except httptools.HttpParserError as error:
            if self._in_head or not self.complete:
                # llhttp's texts name what is wrong, never a value.
                raise Malformed(str(error)) from None

    # --- called by httptools --------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        """Of a request behind the chunks of this one: where it begins is not known here, so it is not read.

        The connection ends after this one's answer, and whoever sent more than it may sends that again.
        """
        if not self._in_head:
            self.may_stay = False

    def on_headers_complete(self) -> None:
        """The parser knows now whether the connection may stay."""
        if self._in_head and self._parser is not None:
            self.may_stay = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self._remaining is None and not self.complete:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """The request was read."""
        self.complete = True


def _check_begin(data: bytes) -> None:
    """Refuses what cannot become a request, without waiting for its end."""
    if data not in (b"", b"\r") and not data[:1].isalpha():
        raise Malformed("a request begins with a method")
    end = data.find(b"\n")
    if end >= 0:
        if data[end - 1 : end] != b"\r":
            raise Malformed("a line ends without CR")
        request_line(data[: end - 1])
