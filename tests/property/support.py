"""Both engines behind one name, and what goes in and comes out of them in a form that tests can read."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro
import pytest

from kaa_epr import schemas
from kaa_epr.engine import select
from kaa_epr.engine.api import Engine, EngineConfig

WALL = 1_700_000_000_000
MONO = 1_000_000
RUST = importlib.util.find_spec("kaa_epr._core") is not None

needs_rust = pytest.mark.skipif(not RUST, reason="the extension is not built")
each_engine = pytest.mark.parametrize(
    "make", [pytest.param("pure", id="pure"), pytest.param("rust", id="rust", marks=needs_rust)]
)
"""Runs a test with ``make`` = the name of each engine, for ``started``."""

_RESPONSES = {
    revision: fastavro.parse_schema(schemas.load(f"epmmp/0019-endpoint-metadata-get-response.rev{revision}"))
    for revision in (1, 2, 3)
}


@dataclass(frozen=True)
class Frame:
    """One PUB or HPUB frame."""

    subject: str
    headers: bytes
    payload: bytes


def frames(wire: bytes) -> Iterator[Frame]:
    """Cuts PUB and HPUB frames apart; fails on anything else."""
    while wire:
        line, _, wire = wire.partition(b"\r\n")
        words = line.split(b" ")
        header_bytes, total = (int(words[2]), int(words[3])) if words[0] == b"HPUB" else (0, int(words[2]))
        assert words[0] in (b"PUB", b"HPUB")
        body, end, wire = wire[:total], wire[total : total + 2], wire[total + 2 :]
        assert len(body) == total
        assert end == b"\r\n"
        yield Frame(words[1].decode(), body[:header_bytes], body[header_bytes:])


def response(payload: bytes, revision: int = 3) -> dict[str, Any]:
    """Decodes an answer of ``revision``, whole."""
    buffer = BytesIO(payload)
    record = fastavro.schemaless_reader(buffer, _RESPONSES[revision], None)
    assert buffer.read() == b""
    assert isinstance(record, dict)
    return record


def answers(wire: bytes, revision: int = 3) -> list[dict[str, Any]]:
    """Decodes every frame's payload."""
    return [response(frame.payload, revision) for frame in frames(wire)]


def started(make: str, *, max_payload: int = 1_048_576, headers: bool = True, **choices: Any) -> Engine:
    """An engine of this name that is connected and hears every event, at WALL and MONO."""
    engine = select(make, EngineConfig(**choices))  # type: ignore[arg-type]
    engine.link_up(max_payload=max_payload, headers=headers, cluster=False, wall_ms=WALL, mono_ms=MONO)
    engine.ears(True, MONO)
    return engine


def ask(engine: Engine, payload: bytes, **what: Any) -> bytes:
    """One get, and what it is answered with at once."""
    choices = {"reply": "r", "headers": b"", "fresh": False, "wall_ms": WALL, "mono_ms": MONO, **what}
    reply, headers = choices.pop("reply"), choices.pop("headers")
    engine.get(reply, headers, payload, **choices)
    return engine.take_output()


def load(engine: Engine, *documents: bytes, wall_ms: int = WALL, mono_ms: int = MONO) -> bytes:
    """Runs one load of everything queued; what it answers."""
    begun = engine.begin_load(1000, mono_ms)
    assert begun is not None
    engine.end_load(begun[0], [b"".join(documents)], wall_ms=wall_ms, mono_ms=mono_ms)
    return engine.take_output()


def metadata(make: str, document: bytes, get: bytes) -> tuple[int, bytes | None]:
    """Status and payload that a new engine answers ``get`` with, when ``document`` is what the store has."""
    engine = started(make)
    assert ask(engine, get) == b""
    [answer] = answers(load(engine, document))
    return answer["statusCode"], answer["payload"]
