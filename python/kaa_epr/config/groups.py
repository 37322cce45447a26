"""The smaller groups of settings: what the service itself does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator

from kaa_epr.config.types import (
    Count,
    Group,
    Originators,
    Port,
    Rate,
    Seconds,
    SecondsOrZero,
    Size,
    Text,
    Token,
)

_MIB: Final = 1024 * 1024
_APPLICATION_NAME: Final = re.compile(r"[a-z0-9_-]{1,255}")


class ServiceSettings(Group):
    """Who this process is on the platform."""

    instance_name: Token = Field(
        "epr",
        description="Service instance name: one token of the request subject, shared by all replicas. "
        "Kaa's name: `INSTANCE_NAME`.",
    )
    replica_id: Token | None = Field(
        None, description="Replica ID; default: made anew at every start, for each worker its own."
    )
    drain_timeout: SecondsOrZero = Field(
        20.0,
        description="Longest time from SIGTERM until the last answer, in seconds; keep it below what the "
        "supervisor waits before it kills (Kubernetes: 30).",
    )
    worker_silence: SecondsOrZero = Field(
        15.0,
        description="With several workers: one whose event loop does not turn for so long, in seconds, is "
        "killed and started again; 0: never.",
    )


class StoreSettings(Group):
    """How missing endpoints are loaded from the store."""

    timeout: Seconds = Field(
        2.0, description="Longest time a get waits for the store, in seconds; then it is answered 503."
    )
    batch_size: Annotated[Count, Field(le=2_000)] = Field(
        512, description="Most endpoint IDs asked for in one load."
    )
    max_loads: Annotated[Count, Field(le=256)] = Field(
        4, description="Most loads in flight at once; the third and further ones wait for a full batch."
    )
    trip_after: Count = Field(3, description="Consecutive failed loads after which the store counts as down.")
    probe_interval: Seconds = Field(
        0.5, description="How often a store that is down is asked whether it is back, in seconds."
    )


class CacheSettings(Group):
    """The cache, per worker process."""

    max_bytes: Size = Field(256 * _MIB, description="Memory for known endpoints, in bytes or as `256MiB`.")
    max_age: Seconds = Field(
        3600.0, description="Oldest age of an entry, in seconds, whatever events were missed."
    )
    unknown_max_bytes: Size = Field(
        8 * _MIB, description="Memory for endpoints known not to exist, in bytes or as `8MiB`."
    )
    unknown_max_age: Seconds = Field(
        10.0, description="Oldest age of the knowledge that an endpoint does not exist, in seconds."
    )


class ResponderSettings(Group):
    """Answering 19/EPMMP gets."""

    enabled: bool = Field(
        True,
        description="Whether this process answers reads over NATS: metadata, keys and application versions.",
    )
    max_pending: Count = Field(
        65_536, description="Most gets waiting for loads; one more is answered 503 at once."
    )
    max_pending_bytes: Annotated[Size, Field(ge=64 * 1024)] = Field(
        64 * _MIB, description="Memory for gets waiting for loads, in bytes; beyond it: 503 at once."
    )
    max_held_bytes: Size = Field(
        16 * _MIB,
        description="Memory for answers ready while no connection is up, in bytes; beyond it the oldest "
        "are dropped and counted.",
    )
    held_max_age: Seconds = Field(
        2.0, description="How long such an answer without a deadline of its own is held, in seconds."
    )
    default_revision: Literal[1, 2, 3] = Field(
        1, description="Revision of the answer to a get that cannot be read, and so not its revision."
    )
    plain_revision: Literal[1, 2] = Field(
        1, description="Revision of a request with nothing after `include`."
    )


class InvalidationSettings(Group):
    """Which events invalidate, and what else does."""

    originators: Originators = Field(
        ("*",), description="Service instances whose events are heard; `*`: any. A list or comma-separated."
    )
    settle: SecondsOrZero = Field(
        1.0,
        description="How long loads begun after a foreign event are not cached, in seconds (its writer may "
        "not have waited for the majority).",
    )
    apply_events: bool = Field(
        True,
        description="Whether a register's event changes the cached entry that it is exact against; off, it "
        "only invalidates. On, whoever may publish events may set what gets answer.",
    )
    change_stream: bool = Field(
        False,
        description="Whether a MongoDB change stream invalidates as well; it also tells of writers that "
        "publish no events. Needs a replica set.",
    )
    scrub_per_second: Rate = Field(
        5, description="How many random cached endpoints are compared with MongoDB each second; 0: none."
    )


class CoherenceSettings(Group):
    """Bounds of the rules that keep the cache from being silently wrong."""

    settle: SecondsOrZero = Field(
        2.0, description="How long nothing is cached after connecting to a NATS cluster, in seconds."
    )
    forget: Seconds = Field(
        60.0, description="After what silence a writer is no longer waited for, in seconds."
    )


class ManagementSettings(Group):
    """Health and metrics over HTTP."""

    enabled: bool = Field(True, description="Whether the management server runs.")
    host: Text = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(
        8080,
        description="Port to listen on; 0: any free one. With several workers, worker i listens on port + i.",
    )
    loop_interval: SecondsOrZero = Field(
        0.02, description="How often the delay of the event loop is measured, in seconds; 0: never."
    )
    loop_warning: Seconds = Field(
        0.25, description="A delay of the event loop that is logged, in seconds; heartbeats come every 0.5."
    )

    def port_of(self, worker: int) -> int:
        """The port of one worker, counted from 0."""
        return self.port + worker if self.port else 0


class LogSettings(Group):
    """Structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    format: Literal["json", "console"] = Field(
        "json", description="`json`: one object a line; `console`: for people."
    )

    @field_validator("level", "format", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


def _application_name(value: str) -> str:
    if not _APPLICATION_NAME.fullmatch(value):
        raise ValueError("a name of the characters a-z 0-9 - _")
    return value


ApplicationName = Annotated[str, AfterValidator(_application_name)]


class _Shared(Group):
    """A group that other Kaa services have keys in: these are kept, and never shown."""

    model_config = ConfigDict(extra="allow")

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        return ((name, getattr(self, name)) for name, field in type(self).model_fields.items() if field.repr)


class ApplicationSettings(_Shared):
    """One application, as Kaa's configuration files have it."""

    versions: dict[ApplicationName, dict[str, Any] | None] = Field(
        default_factory=dict, repr=False, description="Application versions by name; values may be empty."
    )

    @field_validator("versions", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return {} if value is None else value


class TektonSettings(_Shared):
    """Kaa's configuration service; read and kept, not asked yet."""

    enabled: bool = Field(False, description="Whether Kaa's file asks for configuration from Tekton.")
    url: Text = Field("http://tekton", description="Tekton's URL.")


class KaaSettings(_Shared):
    """Kaa's own section; keys of other Kaa services are kept and not used."""

    applications: dict[ApplicationName, ApplicationSettings] = Field(
        default_factory=dict, description="Applications by name, with their versions."
    )
    tekton: TektonSettings = Field(default_factory=TektonSettings, description="Tekton.")

    @field_validator("applications", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        # An application without settings is written with an empty value.
        if isinstance(value, dict):
            return {name: {} if app is None else app for name, app in value.items()}
        return {} if value is None else value
