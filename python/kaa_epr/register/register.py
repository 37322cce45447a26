"""The register role of a worker: its parts put together, started, attached to sessions, stopped in order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from kaa_epr.config.register import RegisterSettings
from kaa_epr.config.settings import Settings
from kaa_epr.ending import Ending
from kaa_epr.http.asgi import App
from kaa_epr.http.auth import Authenticator
from kaa_epr.log import get_logger
from kaa_epr.metrics import CountedStats
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.nats.bridge import Bridge
from kaa_epr.nats.flushing import confirmed_flush
from kaa_epr.nats.outlet import SessionOutlet
from kaa_epr.nats.publisher import Publisher
from kaa_epr.nats.services_api import EndpointStats
from kaa_epr.nats.session import Session
from kaa_epr.nats.writer import Heartbeats, WriterNumbers
from kaa_epr.refusals import Stored, Unavailable
from kaa_epr.register.commit.collaborators import (
    Collaborators,
    OnStage,
    event_limit,
    unobserved,
)
from kaa_epr.register.commit.pipeline import Pipeline
from kaa_epr.register.commit.remembered import Remembered
from kaa_epr.register.decide.planners import select_planner
from kaa_epr.register.endpoints import Endpoints
from kaa_epr.register.epmmp.handlers import EpmmpHandlers
from kaa_epr.register.epmmp.operations import operations_of
from kaa_epr.register.epmmp.service import EpmmpService
from kaa_epr.register.intake.applications import Applications
from kaa_epr.register.intake.budget import Budget
from kaa_epr.register.intake.reading import reading_of
from kaa_epr.register.limits import limits_of, rules_of, task_limits_of
from kaa_epr.register.lists import pages_of
from kaa_epr.register.outbox.sweeper import Sweeper
from kaa_epr.register.preparation import Preparation
from kaa_epr.register.purge import Purge
from kaa_epr.register.rest.assembly import rest_app
from kaa_epr.register.rest.server import create_server
from kaa_epr.register.tasks import BatchTasks
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

READY_SECONDS = 5.0
"""Indexes of small collections are built in less; with larger ones the service says that it serves before."""


class Register:
    """Takes changes over 19/EPMMP and through ``endpoints``, and tells of them."""

    def __init__(
        self,
        settings: Settings,
        store: RegisterStore,
        replica_id: str,
        supervisor: Supervisor | None = None,
        on_stage: OnStage = unobserved,
    ) -> None:
        """``on_stage``: told of each stage that a batch of changes has behind it."""
        supervisor = supervisor or Supervisor()
        self.outlet = SessionOutlet()
        self.attached = asyncio.Event()
        """Set when writes are taken for the first time."""
        self._preparation = Preparation(store, supervisor)
        self._rules = rules_of(settings.register_)
        self._reading = reading_of(settings.register_, settings.engine)
        self._compose_changes(settings, store, replica_id, supervisor, on_stage)
        self._compose_background(settings.register_, store, replica_id, supervisor)
        self._compose_interfaces(settings, store, supervisor)

    def _compose_changes(
        self,
        settings: Settings,
        store: RegisterStore,
        replica_id: str,
        supervisor: Supervisor,
        on_stage: OnStage,
    ) -> None:
        """From a command to its event."""
        instance = settings.service.instance_name
        numbers = WriterNumbers(instance)
        self._heartbeats = Heartbeats(numbers, self.outlet.heartbeat, supervisor)
        self._beating = False
        collaborators = Collaborators(
            store,
            Publisher(instance, self.outlet, numbers),
            select_planner(settings.engine, self._rules),
            self._event_limit,
            replica_id,
            limits_of(settings.register_),
            remembered=Remembered(settings.register_.remembered_bytes),
            on_stage=on_stage,
        )
        self._remembered = collaborators.remembered
        self.stats = collaborators.stats
        self.pipeline = Pipeline(collaborators, supervisor)
        self.sweeper = Sweeper(collaborators, self.pipeline.busy, supervisor)
        applications = Applications(settings.kaa)
        seconds = settings.register_.store_timeout
        self.endpoints = Endpoints(store, self.pipeline, collaborators.planner, applications, seconds)

    def _compose_background(
        self, settings: RegisterSettings, store: RegisterStore, replica_id: str, supervisor: Supervisor
    ) -> None:
        """What goes on without anybody asking."""
        seconds = settings.store_timeout
        self.purge = Purge(store, settings.tombstone_retention, seconds, supervisor)
        self._tasks = BatchTasks(
            self.endpoints,
            self._reading.intake.value_of,
            replica_id,
            seconds,
            self.stats,
            task_limits_of(settings),
            supervisor,
        )

    def _compose_interfaces(self, settings: Settings, store: RegisterStore, supervisor: Supervisor) -> None:
        """19/EPMMP and REST."""
        register, stats = settings.register_, self.stats
        self.budget = Budget(register.max_pending_bytes, on_full=partial(stats.refuse, "pending_bytes"))
        self._epmmp = EpmmpService(
            settings.service.instance_name,
            settings.queue_group,
            self.outlet,
            operations_of(
                EpmmpHandlers(self.endpoints, self._reading), is_native=self.endpoints.planner.name == "rust"
            ),
            self.budget,
            on_full=partial(stats.refuse, "epmmp_requests"),
            on_dropped=stats.drop,
        )
        self._authenticator = Authenticator(
            register.security, stats.auth_failures, supervisor, stats.token_keys
        )
        self._server = create_server(
            self._rest_app(register, store),
            register.rest,
            shared=settings.workers > 1,
            on_refused=partial(stats.refuse, "connections"),
        )
        self._serving = False

    def _rest_app(self, settings: RegisterSettings, store: RegisterStore) -> App:
        return rest_app(
            settings,
            self.endpoints,
            self._tasks,
            self._reading,
            self._rules,
            pages_of(settings, store, self.stats, self.endpoints.planner),
            self._authenticator,
            self.budget,
        )

    def _event_limit(self) -> int | Unavailable:
        """As the connected server takes events; a refusal while nothing is changed."""
        if (problem := self._preparation.problem) is not None:
            return Unavailable(f"The register is not ready: {problem}", Stored.NO)
        return event_limit(self.outlet.max_payload)

    @property
    def problem(self) -> str | None:
        """Why nothing can be changed now, for the health report."""
        return self._preparation.problem or (None if self.outlet.up else "NATS is not connected")

    @property
    def url(self) -> str | None:
        """Where REST is served; None before ``start``."""
        return self._server.url if self._serving else None

    def numbers(self) -> CountedStats:
        """For metrics."""
        return {
            **self.stats.told(),
            "pending_bytes": self.budget.used,
            "remembered_bytes": self._remembered.size,
            **self._heartbeats.numbers(),
        }

    async def start(self) -> None:
        """Begins everything. What the store needs is made in the background; writes are refused until then.

        Raises ``ForeignCollection``, or ``AddressError`` where REST cannot listen.
        """
        self._preparation.start()
        self.sweeper.start()
        self.purge.start()
        self._tasks.start()
        await self._server.start()
        self._serving = True

    async def ready(self) -> None:
        """Until writes are taken, or it takes longer: ``problem`` says why.

        Raises ``IndexConflict`` when that was found at the first look; the collection is left alone.
        """
        await self.attached.wait()
        await self._preparation.wait(READY_SECONDS)

    @property
    def message_types(self) -> tuple[str, ...]:
        """Request types of 19/EPMMP that are answered here."""
        return self._epmmp.message_types

    def endpoint_stats(self) -> Mapping[str, EndpointStats]:
        """Of each of them."""
        return self._epmmp.stats()

    async def attach(self, session: Session) -> None:
        """Takes a session that has subscribed: writes are taken on it, and events go out on it."""
        await self.outlet.attach(session.client)
        await self._epmmp.attach(session.client)
        await session.flush()
        self.pipeline.go_on()
        if not self._beating:
            self._beating = True
            await self._heartbeats.start()
        self.sweeper.kick()
        self.attached.set()

    # --- one session takes another's place (a reload) ------------------------------------------------------
    async def bridge(self, bridge: Bridge) -> None:
        """Takes writes on the bridge's client too; events and answers go out on whatever session there is.

        Returns when the server sends them there: the old session is about to leave.
        """
        await self._epmmp.attach(bridge.client)
        await confirmed_flush(bridge.client)

    async def leave(self, session: Session, seconds: float) -> None:
        """Takes no more writes on the session, and ends those under way; what comes now waits."""
        await self._epmmp.leave(session.client, seconds)
        if not await self.pipeline.hold(seconds):
            _log.warning("changes take long; their events are published on the next session, or later")
        self.outlet.detach()

    async def arrive(self, bridge: Bridge, seconds: float) -> None:
        """Leaves the bridge's client."""
        await self._epmmp.leave(bridge.client, seconds)
        self.pipeline.go_on()

    async def reload_certificate(self) -> None:
        """New connections to REST see the certificate of now. Raises OSError when it cannot be used."""
        self._server.reload()

    async def renew_keys(self) -> None:
        """Tokens are checked with the keys of now. Raises ``Unavailable`` when they cannot be had."""
        await self._authenticator.renew()

    async def stop(self, ending: Ending) -> None:
        """Takes no more writes, ends those under way, publishes their events, and says goodbye.

        Shortly before the time is up, what is under way is given up, and answered what became of it.
        """
        await ending.step("batch tasks", self._tasks.stop())
        giving_up = asyncio.get_running_loop().call_later(ending.patience, self.pipeline.give_up)
        await ending.steps(
            {
                "keys of tokens": self._authenticator.stop(),
                "REST server": self._server.stop(ending.left),
                "19/EPMMP": self._epmmp.stop(ending.left),
            }
        )
        if not await self.pipeline.drain(ending.patience):
            ending.give_up(
                "changes; events of those that are stored are published by another replica, or later"
            )
        giving_up.cancel()
        for name, work in (("sweeper", self.sweeper), ("purge", self.purge), ("indexes", self._preparation)):
            await ending.step(name, work.stop())
        await ending.step("heartbeats", self._heartbeats.stop())
        self.outlet.detach()


def register_of(
    settings: Settings, store: RegisterStore, replica_id: str, supervisor: Supervisor, on_stage: OnStage
) -> Register | None:
    """The register of a worker; None where the settings do not turn it on."""
    if not settings.register_.enabled:
        return None
    return Register(settings, store, replica_id, supervisor, on_stage)
