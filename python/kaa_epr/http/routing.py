"""Paths and queries: each part decoded once, strictly, and found exactly.

A path is split at its slashes as it was sent, and only then decoded: ``%2F`` is a slash inside a part.
Nothing is resolved or merged: an empty part is a part, and a part ``.`` or ``..`` is refused, since some
clients and proxies would have taken it out. ``%2E%2E`` is the text ``..``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

from kaa_epr.refusals import Invalid, Refusal

T = TypeVar("T")

SERVER: Final = b"*"
"""The path of what is asked of the server as a whole."""
_DOTS: Final = (b".", b"..")


class NotFound(Refusal):
    """Nothing is there."""

    status = HTTPStatus.NOT_FOUND
    text = HTTPStatus.NOT_FOUND.phrase


class NotAllowed(Refusal):
    """Something is there, but not for this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    text = HTTPStatus.METHOD_NOT_ALLOWED.phrase

    def __init__(self, allowed: str) -> None:
        """``allowed``: as the header ``Allow`` has it."""
        super().__init__(allowed)
        self.allowed = allowed


class Match(NamedTuple, Generic[T]):
    """Where a path leads."""

    target: T
    parts: Mapping[str, str]
    """The decoded parts, by their names in the template."""


class Routes(Generic[T]):
    """Templates such as ``/endpoints/{endpointId}/metadata/{key...}``, and what is there.

    ``{name}`` is one part that is not empty, ``{name...}`` all that is left, slashes included, unless that is
    empty. Literal parts come before named ones, for each method by itself.
    """

    def __init__(self) -> None:
        self._root = _Node[T]()
        self._methods: set[str] = set()

    @property
    def allowed(self) -> str:
        """All methods that anything here has, as the header ``Allow`` has it."""
        return _allowed({*self._methods, "OPTIONS"})

    def add(self, method: str, template: str, target: T) -> None:
        """One more. Raises ValueError where that is taken."""
        node = self._root
        names: list[str] = []
        for part in template.split("/")[1:]:
            if part.endswith("...}"):
                names.append(part[1:-4])
                node.rest = node.rest or _Node()
                node = node.rest
            elif part.startswith("{"):
                names.append(part[1:-1])
                node.named = node.named or _Node()
                node = node.named
            else:
                node = node.literal.setdefault(part, _Node())
        if method in node.targets:
            raise ValueError(f"{method} {template} is there already")
        node.targets[method] = _Target(target, tuple(names))
        self._methods.add(method)

    def find(self, method: str, path: bytes) -> Match[T]:
        """What is there; ``HEAD`` is ``GET``. Raises ``Invalid``, ``NotFound`` or ``NotAllowed``."""
        parts = path_parts(path)
        if method == "HEAD":
            method = "GET"
        methods: set[str] = set()
        for node, values in _walk(self._root, parts, 0, ()):
            found = node.targets.get(method)
            if found is not None:
                return Match(found.target, dict(zip(found.names, values, strict=True)))
            methods.update(node.targets)
        if methods:
            raise NotAllowed(_allowed(methods))
        raise NotFound


def _allowed(methods: Iterable[str]) -> str:
    found = set(methods)
    return ", ".join(sorted(found | {"HEAD"} if "GET" in found else found))


class _Target(NamedTuple, Generic[T]):
    target: T
    names: tuple[str, ...]


class _Node(Generic[T]):
    __slots__ = ("literal", "named", "rest", "targets")

    def __init__(self) -> None:
        self.literal: dict[str, _Node[T]] = {}
        self.named: _Node[T] | None = None
        self.rest: _Node[T] | None = None
        self.targets: dict[str, _Target[T]] = {}


def _walk(
    node: _Node[T], parts: list[str], at: int, values: tuple[str, ...]
) -> Iterator[tuple[_Node[T], tuple[str, ...]]]:
    if at == len(parts):
        yield node, values
        return
    part = parts[at]
    literal = node.literal.get(part)
    if literal is not None:
        yield from _walk(literal, parts, at + 1, values)
    if node.named is not None and part:
        yield from _walk(node.named, parts, at + 1, (*values, part))
    if node.rest is not None and (part or at + 1 < len(parts)):
        yield node.rest, (*values, "/".join(parts[at:]))


def path_parts(path: bytes) -> list[str]:
    """The decoded parts of a path that begins with a slash. Raises ``Invalid``."""
    parts = path.split(b"/")[1:]
    if any(part in _DOTS for part in parts):
        raise Invalid("path", "has a part . or .. (in a name, the dots are %2E)")
    return [decoded(part, "path") for part in parts]


def query_values(query: bytes) -> dict[str, list[str]]:
    """The values of each name in a query, in order; ``+`` is a space. Raises ``Invalid``."""
    values: dict[str, list[str]] = {}
    for pair in query.split(b"&") if query else ():
        name, _, value = pair.replace(b"+", b" ").partition(b"=")
        if name:
            values.setdefault(decoded(name, "query"), []).append(decoded(value, "query"))
    return values


def decoded(text: bytes, where: str) -> str:
    """Percent-encoded text. Raises ``Invalid`` for what has no one meaning."""
    if b"%" not in text and text.isascii():
        return text.decode()
    pieces = text.split(b"%")[1:]
    if any(len(piece) < 2 or not _is_hex(piece[:2]) for piece in pieces):
        raise Invalid(where, "% is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise Invalid(where, "its percent-encoded bytes are not UTF-8") from None


def _is_hex(digits: bytes) -> bool:
    return digits.isalnum() and not digits.lower().strip(b"0123456789abcdef")
