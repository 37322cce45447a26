"""From the settings to the bounds that the register's parts keep."""

from __future__ import annotations

import re

from kaa_epr.config.register import RegisterSettings
from kaa_epr.register.commit.collaborators import PipelineLimits
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.tasks import TaskLimits


def rules_of(settings: RegisterSettings) -> Rules:
    """The rules that the settings make."""
    return Rules(
        max_keys=settings.max_keys,
        max_key_length=settings.max_key_length,
        max_depth=settings.max_depth,
        max_metadata_bytes=settings.max_metadata_bytes,
        key_pattern=None if settings.key_pattern is None else re.compile(settings.key_pattern),
        restricted=settings.restricted_keys,
    )


def limits_of(settings: RegisterSettings) -> PipelineLimits:
    """The bounds that the settings make."""
    return PipelineLimits(
        max_pending=settings.max_pending,
        max_outbox=settings.max_outbox,
        store_timeout=settings.store_timeout,
        claim_expiry=settings.claim_expiry,
    )


def task_limits_of(settings: RegisterSettings) -> TaskLimits:
    """The bounds of batch registrations that the settings make."""
    return TaskLimits(settings.max_tasks, settings.max_application_tasks, settings.tombstone_retention)
