"""The head of a request: what its line and headers say, and what they may not say (RFC 9112, RFC 9110).

Everything that two readers might understand differently is refused: whoever stands in front of us must not
take for one request what we take for two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from kaa_epr.http.asgi import Headers
from kaa_epr.http.refused import ExpectationFailed, Malformed, UnknownVersion

_VERSIONS: Final = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
_LATER: Final = re.compile(rb"HTTP/[2-9](?:\.[0-9])?")
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?]+)(/[^?]*)?(?:\?(.*))?", re.DOTALL)
_HOST: Final = re.compile(rb"(?:\[[A-Za-z0-9\-._~!$&'()*+;=:]+\]|[A-Za-z0-9\-._~!$&'()*+;=%]*)(?::[0-9]*)?")
"""RFC 3986's host and port, as far as their characters go; a comma would be a list of several."""
_CONTINUE: Final = b"100-continue"


class Line(NamedTuple):
    """A request line."""

    method: bytes
    target: bytes
    version: str


class Head(NamedTuple):
    """A request's head, checked."""

    method: str
    version: str
    """``1.0`` or ``1.1``."""
    path: bytes
    """As it was sent, percent-encoded; ``*`` for the server as a whole."""
    query: bytes
    headers: Headers
    length: int | None
    """Of the body in bytes; None: in chunks."""
    expects_continue: bool


def request_line(line: bytes) -> Line:
    """The line without its end. Raises ``Malformed`` or ``UnknownVersion``."""
    words = line.split(b" ")
    if len(words) != 3 or not words[1]:
        raise Malformed("the request line is not method, target and version, each after one space")
    version = _VERSIONS.get(words[2])
    if version is None:
        if _LATER.fullmatch(words[2]):
            raise UnknownVersion
        raise Malformed("the version is neither HTTP/1.1 nor HTTP/1.0")
    return Line(words[0], words[1], version)


def head_of(line: Line, headers: Headers) -> Head:
    """What a well-formed line and headers ask for. Raises a ``Refusal``."""
    by_name = dict(headers)
    if len(by_name) != len(headers) and sum(name == b"host" for name, _ in headers) > 1:
        raise Malformed("there are several Host headers")
    host = by_name.get(b"host")
    if host is None:
        if line.version == "1.1":
            raise Malformed("there is no Host header")
    elif not _HOST.fullmatch(host):
        raise Malformed("the Host header is not a host")
    method, target, version = line
    if b"#" in target:
        raise Malformed("the target has a fragment")
    if target.startswith(b"/"):
        path, _, query = target.partition(b"?")
    else:
        path, query, authority = _absolute(method, target)
        if authority:
            # RFC 9112, 3.2.2: what the target says counts, whatever the header says.
            headers = [(b"host", authority), *(pair for pair in headers if pair[0] != b"host")]
    length = _length(by_name, version)
    return Head(
        method.decode("ascii"), version, path, query, headers, length, _expects_continue(by_name, version)
    )


def _absolute(method: bytes, target: bytes) -> tuple[bytes, bytes, bytes]:
    """Path, query, and authority, which only the server as a whole has none of."""
    if target == b"*" and method == b"OPTIONS":
        return target, b"", b""
    found = _ABSOLUTE.fullmatch(target)
    if found is None or not _HOST.fullmatch(found[1]):
        raise Malformed("the target is neither a path nor an absolute http URL")
    return found[2] or b"/", found[3] or b"", found[1]


def _length(by_name: Mapping[bytes, bytes], version: str) -> int | None:
    coding = by_name.get(b"transfer-encoding")
    if coding is None:
        return int(by_name.get(b"content-length", b"0"))
    if version == "1.0":
        raise Malformed("HTTP/1.0 has no Transfer-Encoding")
    if coding.lower() != b"chunked":
        raise Malformed("the only Transfer-Encoding is chunked")
    return None


def _expects_continue(by_name: Mapping[bytes, bytes], version: str) -> bool:
    expected = by_name.get(b"expect")
    if expected is None or version == "1.0":
        return False
    if expected.lower() != _CONTINUE:
        raise ExpectationFailed
    return True
