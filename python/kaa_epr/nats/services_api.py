"""The NATS services API (ADR-32): ``$SRV.PING|INFO|STATS[.name[.id]]``, so that `nats service ls` sees us.

nats-py has ``nats.micro``, but it counts only what its own callbacks handle; the fast path answers before any
callback, so the three verbs are answered here from the engine's counts. No queue group: every instance
answers. A server that refuses the subscriptions says so to the connection's error callback, which logs it.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from kaa_epr.log import Repeats, get_logger
from kaa_epr.reply import may_answer_to

_log = get_logger(__name__)

PREFIX: Final = "$SRV"
VERBS: Final = ("PING", "INFO", "STATS")
PENDING_REQUESTS: Final = 256
"""Per subject; nats-py drops what exceeds it. People and dashboards ask, a few times a minute."""

_NOT_IN_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")
_SEMVER: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_RELEASE: Final = re.compile(r"v?(?:\d+!)?(\d+(?:\.\d+)*)(.*)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class EndpointStats:
    """Counts since the service started; times in nanoseconds."""

    num_requests: int
    num_errors: int
    processing_time_ns: int
    last_error: str = ""
    data: Mapping[str, Any] | None = None
    """Whatever else is worth showing, JSON-able."""

    @property
    def average_processing_time_ns(self) -> int:
        """0 before the first request."""
        return self.processing_time_ns // self.num_requests if self.num_requests else 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the service answers: one subject in one queue group."""

    name: str
    subject: str
    queue_group: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceIdentity:
    """Who answers. Keep one for the life of the process: ``id`` and ``started`` outlive connections."""

    name: str
    """Made of the instance name with ``service_name``."""
    version: str
    """Made of the package version with ``semantic_version``."""
    endpoints: Sequence[Endpoint]
    metadata: Callable[[], Mapping[str, str]] = dict
    """Asked anew for each answer: engine, whether the fast path is in use, and if not why."""
    description: str = "Kaa Endpoint Register: endpoints and their metadata by 19/EPMMP"
    id: str = field(default_factory=lambda: secrets.token_hex(11))
    started: datetime = field(default_factory=lambda: datetime.now(UTC))


def service_name(instance_name: str) -> str:
    """The instance name with what ADR-32 does not take in a service name replaced by ``_``."""
    return _NOT_IN_NAME.sub("_", instance_name) or "kaa-epr"


def endpoint_name(message_type: str) -> str:
    """The request type of a Kaa protocol as the name of an endpoint: ``ep-metadata-get``."""
    return message_type.removesuffix("-request")


def semantic_version(version: str) -> str:
    """A Python package version as a semantic one: ``1.2`` is ``1.2.0``, ``1.2.0rc1`` is ``1.2.0-rc1``."""
    if _SEMVER.fullmatch(version):
        return version
    release, rest = match.groups() if (match := _RELEASE.fullmatch(version)) else ("0", version)
    numbers = [str(int(number)) for number in release.split(".")][:3]
    suffix, _, local = rest.partition("+")
    result = ".".join(numbers + ["0"] * (3 - len(numbers)))
    for sign, text in (("-", suffix), ("+", local)):
        cleaned = re.sub(r"[^0-9A-Za-z]+", "-", text).strip("-")
        if cleaned:
            result += sign + (f"x{cleaned}" if cleaned.isdigit() else cleaned)
    return result


class ServicesApi:
    """Answers the three verbs on one connection; make another for the next one."""

    def __init__(
        self, nc: NatsClient, identity: ServiceIdentity, stats: Callable[[], Mapping[str, EndpointStats]]
    ) -> None:
        """``stats``: of every endpoint, by its name."""
        self._nc = nc
        self._identity = identity
        self._stats = stats
        self._subscriptions: list[Subscription] = []
        self._repeats = Repeats()

    async def start(self) -> None:
        """Subscribes; raises what nats-py raises when the connection is closed or draining."""
        for verb, answer in zip(VERBS, (self._ping, self._info, self._report), strict=True):
            everyone = f"{PREFIX}.{verb}"
            ours = f"{everyone}.{self._identity.name}"
            for subject in (everyone, ours, f"{ours}.{self._identity.id}"):
                subscription = await self._nc.subscribe(
                    subject, cb=self._responder(answer), pending_msgs_limit=PENDING_REQUESTS
                )
                self._subscriptions.append(subscription)

    async def stop(self) -> None:
        """Unsubscribes, unless the connection is closed or draining and has done so itself."""
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            if not (self._nc.is_closed or self._nc.is_draining):
                await subscription.unsubscribe()

    def _responder(self, answer: Callable[[], dict[str, Any]]) -> Callable[[Msg], Awaitable[None]]:
        async def respond(msg: Msg) -> None:
            if not may_answer_to(msg.reply):
                if msg.reply:
                    self._repeats.warning(_log, "a services API request names a reply subject for no answers")
                return
            try:
                await self._nc.publish(msg.reply, json.dumps(answer()).encode())
            except nats.errors.Error as error:  # closing or draining: whoever asks gets no answer
                _log.debug("services API request not answered", error=str(error))

        return respond

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "type": f"io.nats.micro.v1.{kind}_response",
            "name": self._identity.name,
            "id": self._identity.id,
            "version": self._identity.version,
            "metadata": dict(self._identity.metadata()),
        }

    def _ping(self) -> dict[str, Any]:
        return self._head("ping")

    def _info(self) -> dict[str, Any]:
        endpoints = [
            {**_head_of(endpoint), "metadata": dict(endpoint.metadata)}
            for endpoint in self._identity.endpoints
        ]
        return {**self._head("info"), "description": self._identity.description, "endpoints": endpoints}

    def _report(self) -> dict[str, Any]:
        stats = self._stats()
        started = self._identity.started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        endpoints = [
            {**_head_of(endpoint), **_figures(stats[endpoint.name])} for endpoint in self._identity.endpoints
        ]
        return {**self._head("stats"), "started": started, "endpoints": endpoints}


def _head_of(endpoint: Endpoint) -> dict[str, Any]:
    return {"name": endpoint.name, "subject": endpoint.subject, "queue_group": endpoint.queue_group}


def _figures(stats: EndpointStats) -> dict[str, Any]:
    return {
        "num_requests": stats.num_requests,
        "num_errors": stats.num_errors,
        "last_error": stats.last_error,
        "processing_time": stats.processing_time_ns,
        "average_processing_time": stats.average_processing_time_ns,
        "data": dict(stats.data) if stats.data is not None else None,
    }
