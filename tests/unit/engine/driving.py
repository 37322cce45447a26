"""One endpoint, ``e-1``, driven by hand: what tests of flights, coherence and bounds have in common."""

from __future__ import annotations

from typing import Any

from kaa_epr.engine.api import Engine, Kind
from tests.property.documents import endpoint, int64
from tests.property.messages import Get, event_payload
from tests.property.support import MONO, WALL, ask, frames, response

OURS = b"NATS/1.0\r\nKaa-Epr-Version: 1\r\n\r\n"
GET = Get().encode()
MISS = b""


def stored(version: int) -> bytes:
    """The endpoint at a version."""
    return endpoint("e-1", [("n", int64(version))], version=version)


def seen(wire: bytes) -> dict[str, str]:
    """Reply subject -> eTag, or the status of what has none."""
    each = ((frame.subject, response(frame.payload)) for frame in frames(wire))
    return {subject: answer["eTag"] or str(answer["statusCode"]) for subject, answer in each}


def end(engine: Engine, number: int, *documents: bytes, mono_ms: int = MONO) -> dict[str, str]:
    """Ends a load; who is answered what."""
    engine.end_load(number, list(documents), wall_ms=WALL, mono_ms=mono_ms)
    return seen(engine.take_output())


def begin(engine: Engine, mono_ms: int = MONO) -> int:
    """Begins the load of everything queued; its number."""
    begun = engine.begin_load(100, mono_ms)
    assert begun is not None
    return begun[0]


def event(
    engine: Engine, kind: Kind = Kind.METADATA_UPDATED, headers: bytes = OURS, mono_ms: int = MONO
) -> None:
    """An event for the endpoint, by default one of ours."""
    engine.event(kind, headers, event_payload(kind, "e-1"), mono_ms)


def cached(engine: Engine, **when: Any) -> bool:
    """Whether a get is answered at once."""
    return ask(engine, GET, **when) != MISS
