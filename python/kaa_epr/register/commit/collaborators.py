"""Whom batches, clearing and sweeper work with: complete once it is made."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kaa_epr.mongo.conditional import Claim
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.nats.publisher import Publisher
from kaa_epr.refusals import Stored, Unavailable
from kaa_epr.register.commit.contention import Contention
from kaa_epr.register.commit.remembered import Remembered
from kaa_epr.register.decide.api import Planner
from kaa_epr.register.stats import Stats

STAGES: Final = ("read", "planned", "written", "published", "answered", "cleared")
"""What a batch has behind it, in order; ``Collaborators.on_stage`` is told."""
MAX_EVENT_BYTES: Final = 4 * 1024 * 1024
"""Of one event; the NATS server may take less as one payload."""
HEADER_ROOM: Final = 256
"""Bytes that the headers of an event take at most."""


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """Bounds; times in seconds."""

    max_pending: int = 10_000
    """Commands on their way; a further one is refused at once."""
    batch_size: int = 1000
    """Endpoints in one batch."""
    batch_bytes: int = 512 * 1024
    """That its commands bring; then no further endpoint joins it. While those under way bring twice as much,
    none begins. What is large takes mongod long, as each element of an array is a key of an index; all of a
    batch is written within one ``store_timeout``, and for what waits for another batch no time runs."""
    max_batches: int = 4
    """Under way at once."""
    max_outbox: int = 64
    """Events in one endpoint's outbox: so many commands for it are carried out by one write."""
    store_timeout: float = 5.0
    """For each step with the store."""
    patience: float = 5.0
    """How long a contended endpoint is tried."""
    claim_expiry: float = 15.0
    """After this, another replica publishes what a claim's holder did not."""


OnStage = Callable[[str], None]
"""Told of each of ``STAGES`` that a batch has behind it."""


def unobserved(_stage: str) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Collaborators:
    """What the register's parts share."""

    store: RegisterStore
    publisher: Publisher
    planner: Planner
    event_limit: Callable[[], int | Unavailable]
    """Bytes of one event at this moment; a refusal while nothing can be changed."""
    replica_id: str
    limits: PipelineLimits = field(default_factory=PipelineLimits)
    stats: Stats = field(default_factory=Stats)
    contention: Contention = field(default_factory=Contention)
    remembered: Remembered = field(default_factory=lambda: Remembered(0))
    unpublished: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when an outbox waits for whoever sweeps."""
    on_stage: OnStage = unobserved


def event_limit(max_payload: int | None) -> int | Unavailable:
    """Bytes of one event with a NATS server that takes so many as one payload; None: there is none."""
    if max_payload is None:
        return no_events()
    return min(MAX_EVENT_BYTES, max_payload - HEADER_ROOM)


def no_events() -> Unavailable:
    """Nothing can be changed now."""
    return Unavailable("NATS is not connected, so no event could tell of a change", Stored.NO)


def new_claim(owner: str) -> Claim:
    """A claim on outboxes that nobody made before."""
    return Claim(owner, secrets.token_hex(12))
