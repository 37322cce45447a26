"""What ``kaa-epr import`` writes with: a register for as long as the import runs."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from kaa_epr.config.settings import Settings
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.mongo.transfer import WriteBatch
from kaa_epr.nats.outlet import SessionOutlet
from kaa_epr.nats.publisher import Publisher
from kaa_epr.nats.publishing import publishing
from kaa_epr.nats.writer import Heartbeats, WriterNumbers
from kaa_epr.refusals import Unavailable
from kaa_epr.register.commit.collaborators import Collaborators, event_limit
from kaa_epr.register.commit.pipeline import Pipeline
from kaa_epr.register.decide.planners import select_planner
from kaa_epr.register.importing import EventfulImport
from kaa_epr.register.intake.engines import select_intake
from kaa_epr.register.limits import limits_of, rules_of
from kaa_epr.register.outbox.sweeper import Sweeper

_CONNECT_SECONDS: Final = 10.0
_STALL_SECONDS: Final = 60.0
"""How long a batch is tried while store or NATS are away."""


def _event_limit(outlet: SessionOutlet) -> int | Unavailable:
    return event_limit(outlet.max_payload)


@asynccontextmanager
async def eventful(settings: Settings, store: RegisterStore) -> AsyncIterator[WriteBatch]:
    """Writes through the register's rules. What an earlier import or a dead replica left is published too.

    Raises ``NatsUnreachable``, or OSError for unreadable certificates.
    """
    instance = settings.service.instance_name
    name = f"import-{secrets.token_hex(6)}"
    planner = select_planner(settings.engine, rules_of(settings.register_))
    value_of = select_intake(settings.engine).value_of
    numbers = WriterNumbers(instance)
    async with publishing(settings.nats, "kaa-epr import", _CONNECT_SECONDS) as outlet:
        collaborators = Collaborators(
            store,
            Publisher(instance, outlet, numbers),
            planner,
            partial(_event_limit, outlet),
            name,
            replace(limits_of(settings.register_), patience=_STALL_SECONDS),
        )
        pipeline = Pipeline(collaborators)
        sweeper = Sweeper(collaborators, pipeline.busy)
        heartbeats = Heartbeats(numbers, outlet.heartbeat)
        await heartbeats.start()
        sweeper.start()
        try:
            yield EventfulImport(pipeline, planner, value_of, name, _STALL_SECONDS).write
        finally:
            await pipeline.drain(_STALL_SECONDS)
            await sweeper.stop()
            await heartbeats.stop()
