"""Requests as bytes: refused ones with their status, served ones with what they ask for."""

from __future__ import annotations

from typing import Final, NamedTuple

HOST: Final = b"Host: h\r\n"
GET: Final = b"GET / HTTP/1.1\r\n"
PUT: Final = b"PUT / HTTP/1.1\r\n" + HOST
CHUNKED: Final = PUT + b"Transfer-Encoding: chunked\r\n\r\n"


class Refused(NamedTuple):
    name: str
    data: bytes
    status: int = 400


REFUSED: Final = (
    # How long is the body? (RFC 9112, 6.3; RFC 9110, 8.6)
    Refused("length and coding", PUT + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    Refused("coding and length", PUT + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
    Refused("two lengths", PUT + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    Refused("one length twice", PUT + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    Refused("a list of lengths", PUT + b"Content-Length: 3, 3\r\n\r\nabc"),
    Refused("a signed length", PUT + b"Content-Length: +3\r\n\r\nabc"),
    Refused("a negative length", PUT + b"Content-Length: -3\r\n\r\nabc"),
    Refused("a hexadecimal length", PUT + b"Content-Length: 0x3\r\n\r\nabc"),
    Refused("a length in two words", PUT + b"Content-Length: 3 4\r\n\r\nabc"),
    Refused("an empty length", PUT + b"Content-Length:\r\n\r\n"),
    Refused("a length beyond 64 bits", PUT + b"Content-Length: 18446744073709551617\r\n\r\n"),
    Refused("gzip", PUT + b"Transfer-Encoding: gzip\r\n\r\n"),
    Refused("gzip, chunked", PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    Refused("chunked, identity", PUT + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    Refused(
        "chunked twice", PUT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    Refused("xchunked", PUT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    Refused("chunked behind a tab", PUT + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    Refused("chunks in HTTP/1.0", b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    # Where does a header end? (RFC 9112, 5)
    Refused("a folded header", GET + HOST + b"A: b\r\n c\r\n\r\n"),
    Refused("a folded first header", GET + b" A: b\r\n" + HOST + b"\r\n"),
    Refused("a blank before the colon", GET + HOST + b"Content-Length : 3\r\n\r\nabc"),
    Refused("no colon", GET + HOST + b"A\r\n\r\n"),
    Refused("no name", GET + HOST + b": b\r\n\r\n"),
    Refused("a name with brackets", GET + HOST + b"A(b): c\r\n\r\n"),
    Refused("a name beyond ASCII", GET + HOST + b"A\xc3\xa9: c\r\n\r\n"),
    Refused("a name with NUL", GET + HOST + b"A\0: c\r\n\r\n"),
    Refused("a value with NUL", GET + HOST + b"A: b\0c\r\n\r\n"),
    Refused("a value with a control character", GET + HOST + b"A: b\x01c\r\n\r\n"),
    Refused("a value with DEL", GET + HOST + b"A: b\x7fc\r\n\r\n"),
    Refused("a value with CR", GET + HOST + b"A: b\rc\r\n\r\n"),
    Refused("LF alone", b"GET / HTTP/1.1\nHost: h\n\n"),
    Refused("LF alone behind a header", GET + b"Host: h\nA: b\r\n\r\n"),
    Refused("CR CR LF", GET + b"Host: h\r\r\n\r\n"),
    # Whom is it for? (RFC 9112, 3.2)
    Refused("no host", GET + b"\r\n"),
    Refused("two hosts", GET + HOST + b"Host: i\r\n\r\n"),
    Refused("one host twice", GET + HOST + HOST + b"\r\n"),
    Refused("a host with a path", GET + b"Host: h/p\r\n\r\n"),
    Refused("a host with a user", GET + b"Host: u@h\r\n\r\n"),
    Refused("a host with half a bracket", GET + b"Host: [::1\r\n\r\n"),
    Refused("a port that is no number", GET + b"Host: h:x\r\n\r\n"),
    Refused("a target with half a bracket", b"GET http://[::1/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("a list of hosts", GET + b"Host: h, i\r\n\r\n"),
    # The request line (RFC 9112, 3)
    Refused("HTTP/0.9", b"GET /\r\n\r\n"),
    Refused("HTTP/0.9 by name", b"GET / HTTP/0.9\r\n\r\n"),
    Refused("HTTP/1.2", b"GET / HTTP/1.2\r\n" + HOST + b"\r\n"),
    Refused("HTTP/2.0", b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    Refused("HTTP/2 as one knows it", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    Refused("http/1.1", b"GET / http/1.1\r\n" + HOST + b"\r\n"),
    Refused("RTSP", b"OPTIONS * RTSP/1.0\r\n" + HOST + b"\r\n"),
    Refused("ICE", b"SOURCE /x ICE/1.0\r\n" + HOST + b"\r\n"),
    Refused("a method nobody knows", b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    Refused("a method in lower case", b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    Refused("two spaces", b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("a space at the end", b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n"),
    Refused("a space in the target", b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("a tab", b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("a target beyond ASCII", b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("a target with NUL", b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("a target with a control character", b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("a target with a fragment", b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("a target without a slash", b"GET a HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("a target with a user", b"GET http://u@h/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("a target of another scheme", b"GET ftp://h/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("the server, but not its options", b"GET * HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("a tunnel", b"CONNECT h:1 HTTP/1.1\r\n" + HOST + b"\r\n"),
    Refused("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    Refused("an expectation nobody knows", GET + HOST + b"Expect: wonders\r\n\r\n", 417),
    # Chunks (RFC 9112, 7.1)
    Refused("a negative chunk", CHUNKED + b"-1\r\na\r\n0\r\n\r\n"),
    Refused("a chunk 0x1", CHUNKED + b"0x1\r\na\r\n0\r\n\r\n"),
    Refused("a chunk beyond 64 bits", CHUNKED + b"fffffffffffffffff\r\na\r\n0\r\n\r\n"),
    Refused("a blank behind the size", CHUNKED + b"1 \r\na\r\n0\r\n\r\n"),
    Refused("LF alone behind the size", CHUNKED + b"1\na\r\n0\r\n\r\n"),
    Refused("LF alone behind the data", CHUNKED + b"1\r\na\n0\r\n\r\n"),
    Refused("LF in an extension", CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n"),
    Refused("more data than its size", CHUNKED + b"1\r\nab\r\n0\r\n\r\n"),
    Refused("a folded trailer", CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n"),
    Refused("a trailer that tells a length", CHUNKED + b"0\r\nContent-Length: 3\r\n\r\nabc"),
)


class Served(NamedTuple):
    name: str
    data: bytes
    method: str
    path: bytes = b"/"
    query: bytes = b""
    body: bytes = b""
    host: bytes = b"h"
    stays: bool = True
    """Whether the connection does, for another request."""


UPGRADE: Final = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n"
)
SERVED: Final = (
    Served("get", GET + HOST + b"\r\n", "GET"),
    Served("an empty line before", b"\r\n" + GET + HOST + b"\r\n", "GET"),
    Served("empty lines before", b"\r\n\r\n\r\n" + GET + HOST + b"\r\n", "GET"),
    Served("a query", b"GET /a?b=c?d HTTP/1.1\r\n" + HOST + b"\r\n", "GET", b"/a", b"b=c?d"),
    Served("two slashes", b"GET //a//?? HTTP/1.1\r\n" + HOST + b"\r\n", "GET", b"//a//", b"?"),
    Served("length", PUT + b"Content-Length: 3\r\n\r\nabc", "PUT", body=b"abc"),
    Served("length with zeros", PUT + b"Content-Length: 003\r\n\r\nabc", "PUT", body=b"abc"),
    Served("chunks", CHUNKED + b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\nTrailer: t\r\n\r\n", "PUT", body=b"abc"),
    Served("Chunked", PUT + b"Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n00\r\n\r\n", "PUT", body=b"abc"),
    Served("no body", b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", "PUT"),
    Served(
        "a body nobody expects",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\nx",
        "GET",
        body=b"x",
    ),
    Served(
        "absolute", b"GET http://i:80/a?b HTTP/1.1\r\n" + HOST + b"\r\n", "GET", b"/a", b"b", host=b"i:80"
    ),
    Served("absolute without a path", b"GET HTTPS://i HTTP/1.1\r\n" + HOST + b"\r\n", "GET", host=b"i"),
    Served(
        "absolute with a query only",
        b"GET http://i?b HTTP/1.1\r\n" + HOST + b"\r\n",
        "GET",
        b"/",
        b"b",
        host=b"i",
    ),
    Served("all of the server", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", "OPTIONS", b"*"),
    Served("an IPv6 host", GET + b"Host: [::1]:80\r\n\r\n", "GET", host=b"[::1]:80"),
    Served("no name of a host", GET + b"Host:\r\n\r\n", "GET", host=b""),
    Served("HTTP/1.0", b"GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET", stays=False),
    Served("close", GET + HOST + b"Connection: close\r\n\r\n", "GET", stays=False),
    Served("close behind others", GET + HOST + b"Connection: x, Close\r\n\r\n", "GET", stays=False),
    Served("an upgrade", GET + HOST + UPGRADE + b"\r\n", "GET"),
    Served("an upgrade with a body", PUT + UPGRADE + b"Content-Length: 3\r\n\r\nabc", "PUT", body=b"abc"),
    Served(
        "an upgrade with chunks",
        PUT + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "PUT",
        body=b"abc",
    ),
)
