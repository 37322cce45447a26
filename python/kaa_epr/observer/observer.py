"""The observer: events in, checks within limits, counts out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kaa_epr.client import ClientOptions, EpmmpClient
from kaa_epr.config.engine import engine_config
from kaa_epr.config.settings import Settings
from kaa_epr.engine.api import Kind
from kaa_epr.log import Repeats
from kaa_epr.mongo.opening import open_store
from kaa_epr.nats.options import connect_options
from kaa_epr.nats.watching import Watch
from kaa_epr.observer.asking import Asker
from kaa_epr.observer.check import Check, Policy, Tools
from kaa_epr.observer.counts import Counts, Skip, Verdict
from kaa_epr.observer.limits import Rate
from kaa_epr.observer.reading import Reader
from kaa_epr.observer.told import event_subjects, read_event
from kaa_epr.supervised import Supervisor

_NAME: Final = "kaa-epr observe"
_ANSWER_SECONDS: Final = 1.0
"""A question waits this much longer than the responder waits for its store."""


@dataclass(frozen=True, slots=True)
class ObserverOptions:
    """Limits and choices."""

    policy: Policy = field(default_factory=Policy)
    max_per_second: float = 100.0
    max_concurrent: int = 1024
    count: int | None = None
    """Checks after which it is done; None: never."""
    with_store: bool = True
    """Whether answers are compared with MongoDB."""


class Observer:
    """Runs from ``start`` to ``stop``, on one loop. An ``Ears`` of its ``Watch``."""

    def __init__(self, settings: Settings, options: ObserverOptions) -> None:
        """Raises ``StoreSettingsRefused``, or OSError for unreadable certificates. Nothing connects yet."""
        self.counts = Counts()
        self.done = asyncio.Event()
        """Set once ``options.count`` checks have ended."""
        self._options = options
        self.supervisor = Supervisor()
        heard = event_subjects(settings.invalidation.originators)
        self._watch = Watch(settings.nats, _NAME, heard, self, self.supervisor)
        self._checking = self.supervisor.passing("checks")
        self._tools = Tools(
            asker=Asker(_client(settings, options), self.counts),
            reader=_reader(settings, self.counts, self.supervisor) if options.with_store else None,
            counts=self.counts,
            policy=options.policy,
            repeats=Repeats(),
        )
        self._rate = Rate(options.max_per_second, asyncio.get_running_loop().time())
        self._open: dict[str, set[Check]] = {}
        self._open_count = 0
        self._ended = 0

    async def start(self) -> None:
        """Returns at once; ``hearing`` tells when events come."""
        self._watch.work.start()

    @property
    def hearing(self) -> asyncio.Event:
        """Set while every event subscription is confirmed."""
        return self._watch.hearing

    @property
    def store_failure(self) -> str | None:
        """Why MongoDB could not be read the last time."""
        return None if self._tools.reader is None else self._tools.reader.failure

    async def stop(self) -> None:
        """Ends all checks as they stand, and every connection."""
        await self._watch.work.stop()
        await self._checking.stop()
        # Those that were cancelled before they could begin.
        self.counts.verdicts[Verdict.UNFINISHED] += self._open_count
        await self._tools.asker.close()
        if self._tools.reader is not None:
            await self._tools.reader.close()

    def numbers(self) -> Mapping[str, float]:
        """For the metrics."""
        hearing = float(self._watch.hearing.is_set())
        return self.counts.numbers() | {
            "gaps": self._watch.gaps,
            "hearing": hearing,
            "open": self._open_count,
        }

    def summary(self) -> dict[str, Any]:
        """JSON-able."""
        return self.counts.summary() | {"gaps": self._watch.gaps}

    # --- what the watch says --------------------------------------------------------------------------------
    def heard(self, kind: Kind, headers: Mapping[str, str], payload: bytes) -> None:
        """An event: running checks of its endpoint learn of it; it gets one of its own if there is room."""
        self.counts.events += 1
        told = read_event(kind, headers, payload)
        if told is None:
            self.counts.undecodable += 1
            return
        for check in self._open.get(told.endpoint_id, ()):
            check.hear(told)
        now = asyncio.get_running_loop().time()
        if self._open_count >= self._options.max_concurrent:
            self.counts.skipped[Skip.CONCURRENCY] += 1
        elif not self._rate.take(now):
            self.counts.skipped[Skip.RATE] += 1
        else:
            self._begin(Check(told, now, self._tools))

    def gap(self) -> None:
        """Events may have been missed."""
        for checks in self._open.values():
            for check in checks:
                check.miss()

    def _begin(self, check: Check) -> None:
        self.counts.checks += 1
        self._open_count += 1
        self._open.setdefault(check.told.endpoint_id, set()).add(check)
        self._checking.run(self._run(check))

    async def _run(self, check: Check) -> None:
        try:
            self.counts.verdicts[await check.run()] += 1
        finally:
            checks = self._open[check.told.endpoint_id]
            checks.remove(check)
            if not checks:
                del self._open[check.told.endpoint_id]
            self._open_count -= 1
        self._ended += 1
        if self._ended == self._options.count:
            self.done.set()


def _client(settings: Settings, options: ObserverOptions) -> EpmmpClient:
    """One attempt for each question; the connection comes back by itself."""
    connect = connect_options(settings.nats, _NAME)
    connect["ping_interval"] = max(1.0, settings.nats.ping_interval)
    servers = connect.pop("servers")
    return EpmmpClient(
        servers=servers,
        repository=settings.service.instance_name,
        timeout=settings.store.timeout + _ANSWER_SECONDS,
        attempts=1,
        options=ClientOptions(
            connect=connect,
            max_in_flight=options.max_concurrent * options.policy.questions,
            retry_unavailable=False,
        ),
    )


def _reader(settings: Settings, counts: Counts, supervisor: Supervisor) -> Reader:
    mapping = engine_config(settings, hash_seed=0).mapping
    store = open_store(settings.mongo, settings.store)
    return Reader(store, mapping, settings.store.timeout, counts, supervisor)
