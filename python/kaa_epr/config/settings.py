"""All settings of a process: one immutable value, made by ``kaa_epr.config.load``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from kaa_epr.config.groups import (
    CacheSettings,
    CoherenceSettings,
    InvalidationSettings,
    KaaSettings,
    LogSettings,
    ManagementSettings,
    ResponderSettings,
    ServiceSettings,
    StoreSettings,
)
from kaa_epr.config.mongo import MongoSettings
from kaa_epr.config.nats import NatsSettings
from kaa_epr.config.register import RegisterSettings
from kaa_epr.config.types import Conflict, Count, Group


class Settings(Group):
    """The root. Sizes are in bytes and durations in seconds, always."""

    service: ServiceSettings = Field(default_factory=ServiceSettings, description="Identity.")
    nats: NatsSettings = Field(default_factory=NatsSettings, description="NATS.")
    mongo: MongoSettings = Field(default_factory=MongoSettings, description="MongoDB.")
    store: StoreSettings = Field(default_factory=StoreSettings, description="Loading.")
    cache: CacheSettings = Field(default_factory=CacheSettings, description="Cache.")
    responder: ResponderSettings = Field(default_factory=ResponderSettings, description="Gets.")
    invalidation: InvalidationSettings = Field(
        default_factory=InvalidationSettings, description="Invalidation."
    )
    coherence: CoherenceSettings = Field(default_factory=CoherenceSettings, description="Coherence.")
    register_: RegisterSettings = Field(
        default_factory=RegisterSettings, alias="register", description="Writes."
    )
    """The key is ``register``; the attribute cannot be, since every abstract class has that one."""
    management: ManagementSettings = Field(
        default_factory=ManagementSettings, description="Health and metrics."
    )
    log: LogSettings = Field(default_factory=LogSettings, description="Logs.")
    kaa: KaaSettings = Field(default_factory=KaaSettings, description="Kaa's own section.")
    engine: Literal["auto", "rust", "pure"] = Field(
        "auto",
        description="`rust`: the extension, refused where it is missing; `pure`: Python only; `auto`: the "
        "extension where it is there.",
    )
    workers: Annotated[Count, Field(le=256)] = Field(
        1, description="Processes of this queue group to run; each has its own cache and connections."
    )

    def _conflicts(self) -> Iterator[Conflict]:
        if not (self.responder.enabled or self.register_.enabled):
            yield Conflict("responder.enabled", "true, or register.enabled: true; else nothing is served")
        last_port = self.management.port + self.workers - 1
        if self.management.port and last_port > 65_535:
            yield Conflict("management.port", "a port that leaves room for one port per worker")
        retention = self.register_.tombstone_retention
        if self.register_.enabled and 0 < retention < 2 * self.cache.max_age:
            yield Conflict("register.tombstone_retention", "0, or at least twice cache.max_age")
        if self.workers > 1 and self.service.replica_id is not None:
            yield Conflict("service.replica_id", "no fixed replica ID with several workers")
        if self.invalidation.change_stream and self.mongo.max_pool_size < 2:
            yield Conflict("mongo.max_pool_size", "2 or more, since the change stream keeps a connection")

    @property
    def queue_group(self) -> str:
        """The queue group of the request subscription."""
        return self.nats.queue_group or self.service.instance_name
