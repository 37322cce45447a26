"""From settings to the engine's own configuration."""

from __future__ import annotations

import math

from kaa_epr.config.settings import Settings
from kaa_epr.engine.api import EngineConfig, FieldMapping


def _ms(seconds: float) -> int:
    # Up, so that no positive duration becomes 0, which would switch off what it bounds.
    return math.ceil(round(seconds * 1000, 3))


def engine_config(settings: Settings, *, hash_seed: int) -> EngineConfig:
    """The configuration of one engine: sizes in bytes, durations in whole milliseconds, rounded up.

    ``hash_seed`` (0 to 2**64 - 1) is random in service, against crafted IDs, and fixed in tests.
    """
    fields = settings.mongo.fields
    responder = settings.responder
    return EngineConfig(
        cache_max_bytes=settings.cache.max_bytes,
        cache_max_age_ms=_ms(settings.cache.max_age),
        unknown_max_bytes=settings.cache.unknown_max_bytes,
        unknown_max_age_ms=_ms(settings.cache.unknown_max_age),
        max_pending=responder.max_pending,
        max_pending_bytes=responder.max_pending_bytes,
        max_held_bytes=responder.max_held_bytes,
        held_max_age_ms=_ms(responder.held_max_age),
        store_timeout_ms=_ms(settings.store.timeout),
        default_revision=responder.default_revision,
        plain_revision=responder.plain_revision,
        settle_ms=_ms(settings.coherence.settle),
        forget_ms=_ms(settings.coherence.forget),
        foreign_settle_ms=_ms(settings.invalidation.settle),
        apply_events=settings.invalidation.apply_events,
        hash_seed=hash_seed,
        mapping=FieldMapping(
            id=fields.id,
            metadata=fields.metadata,
            application_version=fields.application_version,
            version=fields.version,
            deleted_at=fields.deleted_at,
        ),
    )
