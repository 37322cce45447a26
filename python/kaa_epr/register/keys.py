"""The metadata keys in use, by application version, as JSON text in pieces."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import bson
from bson.errors import BSONError

from kaa_epr.mongo.raw_documents import split
from kaa_epr.register.decide.values import DECODING
from kaa_epr.slices import Slice

_TEXT_BYTES: Final = 32 * 1024
"""Of JSON that is sent together."""


class Pair(NamedTuple):
    """Some endpoint of this application version has this key."""

    version: str
    key: str


def pair_of(group: bytes) -> Pair | None:
    """From the store's raw document; None for what no endpoint that can be read has."""
    try:
        found = bson.decode(group, DECODING)["_id"]
        version, key = found.get("version"), found.get("key")
    except (BSONError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return Pair(version, key) if isinstance(version, str) and isinstance(key, str) else None


async def read_pairs(groups: bytes) -> tuple[list[Pair], bool]:
    """All of them in their order, and whether an endpoint was met that cannot be shown as a whole."""
    work = Slice()
    pairs = []
    problem = False
    for group in split(groups):
        await work.give_way()
        pair = pair_of(group)
        if pair is None:
            problem = True
        else:
            pairs.append(pair)
    return pairs, problem


async def keys_text(pairs: list[Pair]) -> AsyncIterator[bytes]:
    """``{version: [key, …], …}``; those of one version follow each other in ``pairs``."""
    version: str | None = None
    text = bytearray(b"{")
    for pair in pairs:
        if pair.version != version:
            text += b"" if version is None else b"],"
            text += _json(pair.version) + b":["
            version = pair.version
        else:
            text += b","
        text += _json(pair.key)
        if len(text) >= _TEXT_BYTES:
            yield bytes(text)
            text.clear()
    yield bytes(text) + (b"}" if version is None else b"]}")


def _json(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()
