"""The composition root of one worker: makes the parts, connects them, starts and stops them in order."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import kaa_epr
from kaa_epr.config.engine import engine_config
from kaa_epr.config.reloading import take_over
from kaa_epr.config.settings import Settings
from kaa_epr.ending import Ending
from kaa_epr.engine import select
from kaa_epr.engine.api import Engine, FlushCause
from kaa_epr.log import get_logger, set_level
from kaa_epr.management.app import create_app
from kaa_epr.management.health import Health, Phase
from kaa_epr.management.loop_watch import LoopWatch
from kaa_epr.management.server import ManagementServer
from kaa_epr.metrics import BuildInfo, CountedStats, LinkStats, Metrics, StoreStats
from kaa_epr.mongo import open_store
from kaa_epr.nats.bridge import Bridge
from kaa_epr.nats.flushing import FLUSH_TIMEOUT
from kaa_epr.nats.link import Link
from kaa_epr.nats.protocol import Hooks
from kaa_epr.nats.services_api import (
    EndpointStats,
    ServiceIdentity,
    ServicesApi,
    semantic_version,
    service_name,
)
from kaa_epr.nats.session import Session
from kaa_epr.register.commit.collaborators import OnStage, unobserved
from kaa_epr.register.register import register_of
from kaa_epr.responder.loader import Loader
from kaa_epr.responder.reads import read_stats, responder_subjects, srv_endpoints
from kaa_epr.responder.witness import Witness
from kaa_epr.service.checks import add_link_checks, add_other_checks
from kaa_epr.service.fleet import Fleet
from kaa_epr.service.ready import ReadyInfo, without_credentials
from kaa_epr.service.reloading import Part, reload
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

BUGS_INTERVAL = 1.0
"""Seconds between looks for requests that met a bug, to be logged."""


class Service:
    """One worker. ``start``, then ``drain`` once."""

    def __init__(
        self,
        settings: Settings,
        *,
        worker: int = 0,
        fleet: Callable[[], Fleet] = Fleet,
        on_stage: OnStage = unobserved,
    ) -> None:
        self.settings = settings
        self.worker = worker
        service = settings.service
        self.replica_id = service.replica_id or f"{service.instance_name}-{secrets.token_hex(6)}"
        self.engine: Engine = select(settings.engine, engine_config(settings, hash_seed=secrets.randbits(64)))
        self.health = Health()
        self.supervisor = Supervisor()
        self.store = open_store(settings.mongo, settings.store)
        self.witness = Witness(
            self.engine, self.store, settings, lambda: self.loader.stats().up, self.supervisor
        )
        self.metrics = Metrics(
            build=BuildInfo(kaa_epr.__version__, self.engine.name, self.store.driver),
            engine=self.engine.stats,
            link=self._link_stats,
            store=self._store_stats,
            witness=self.witness.stats,
            process=lambda: {**self.supervisor.numbers(), **fleet().numbers()},
            worker=worker,
            register=self._register_stats if settings.register_.enabled else None,
        )
        self._loop_watch = LoopWatch(settings.management, self.metrics.observe_loop)
        self.loader = Loader(
            self.engine,
            self.store,
            settings.store,
            self._write,
            supervisor=self.supervisor,
            observe_load=self.metrics.observe_load,
        )
        self.link = Link(
            settings.nats,
            self.replica_id,
            responder_subjects(settings),
            self.engine,
            Hooks(self.loader.kick, self.metrics.observe_chunk),
            self,
            self.supervisor,
        )
        self.register = register_of(settings, self.store, self.replica_id, self.supervisor, on_stage)
        self._identity = ServiceIdentity(
            name=service_name(service.instance_name),
            version=semantic_version(kaa_epr.__version__),
            endpoints=srv_endpoints(settings, () if self.register is None else self.register.message_types),
            metadata=self._srv_metadata,
        )
        self._api: ServicesApi | None = None
        self._old_clients = self.supervisor.passing("old_clients")
        self._management: ManagementServer | None = None
        self._bugs = self.supervisor.lasting("bugs", self._look_for_bugs)
        self.health.add("workers", lambda: fleet().problem, required=False)
        add_link_checks(self.health, self.link)
        add_other_checks(self.health, self.loader, self.witness, self.register, self.supervisor)

    # Parts that know each other only by these: loader, link, witness and metrics.
    def _write(self, out: bytes) -> None:
        self.link.write(out)

    def _link_stats(self) -> LinkStats:
        return self.link.stats()

    def _store_stats(self) -> StoreStats:
        return self.loader.stats()

    def _register_stats(self) -> CountedStats:
        assert self.register is not None
        return self.register.numbers()

    # --- beginning ------------------------------------------------------------------------------------------
    async def start(self) -> None:
        """Starts everything and returns at once; ``wait_ready`` tells when gets are answered."""
        self._loop_watch.start()
        if self.settings.management.enabled:
            await self._start_management()
        if self.register is not None:
            await self.register.start()
        self.loader.start()
        self.witness.start()
        self.link.start()
        self._bugs.start()

    async def _start_management(self) -> None:
        management = self.settings.management
        app = create_app(self.health, self.metrics.render, self.info, self.flush)
        self._management = ManagementServer(app, host=management.host, port=management.port_of(self.worker))
        await self._management.start()

    async def wait_ready(self) -> ReadyInfo:
        """Returns once gets are answered, and writes too if that is soon. Raises ``IndexConflict``."""
        await self.link.ready.wait()
        self.health.phase = Phase.SERVING
        if self.register is not None:
            await self.register.ready()
        info = ReadyInfo(
            pid=os.getpid(),
            nats=self.link.status().server or "",
            mongo=without_credentials(self.settings.mongo.uri.get_secret_value()),
            management=None if self._management is None else self._management.url,
            rest=None if self.register is None else self.register.url,
        )
        _log.info("serving", **asdict(info), instance=self.settings.service.instance_name)
        return info

    # --- what else lives on sessions (``Tenant``) -----------------------------------------------------------
    async def opened(self, session: Session) -> None:
        """A session has subscribed: ``$SRV`` is answered on it too. A refused ``$SRV.>`` is only logged."""
        self._api = ServicesApi(session.client, self._identity, self._endpoint_stats)
        await self._api.start()
        if self.register is not None:
            await self.register.attach(session)

    async def bridged(self, bridge: Bridge) -> None:
        """A reload has begun."""
        if self.register is not None:
            await self.register.bridge(bridge)

    async def leave(self, session: Session, seconds: float) -> None:
        """A session is about to end."""
        if self.register is not None:
            await self.register.leave(session, seconds)

    async def arrived(self, bridge: Bridge) -> None:
        """The reload is over."""
        if self.register is not None:
            await self.register.arrive(bridge, FLUSH_TIMEOUT)

    async def reload(self, wanted: Settings) -> bool:
        """Takes over what can change while running; whether nothing was refused. The rest needs a restart."""
        taken, register = take_over(self.settings, wanted), self.register
        if taken.left:
            _log.warning("settings that need a restart have changed", keys=taken.left)

        async def nats() -> None:
            await self.link.reload(taken.settings.nats)
            self._keep(nats=taken.settings.nats)

        async def mongo() -> None:
            closing = await self.store.replace(taken.settings.mongo, self.settings.store.timeout)
            if closing is not None:
                self._old_clients.run(closing)
            self._keep(mongo=taken.settings.mongo)

        parts: dict[str, Part] = {"NATS": nats, "MongoDB": mongo}
        if register is not None:
            parts |= {"REST certificate": register.reload_certificate, "token keys": register.renew_keys}
        set_level(taken.settings.log.level)
        self._keep(log=taken.settings.log)
        done = await reload(parts)
        _log.info("reloaded" if len(done) == len(parts) else "only some was taken over", parts=done)
        return len(done) == len(parts)

    def _keep(self, **groups: Any) -> None:
        """What runs with from now on."""
        self.settings = self.settings.model_copy(update=groups)

    def flush(self) -> None:
        """Drops the cache and the floors of versions, as an operator asks for after MongoDB was set back."""
        self.engine.flush(FlushCause.OPERATOR)
        _log.warning("the cache is dropped at the operator's request")

    # --- what is told of it ---------------------------------------------------------------------------------
    def info(self) -> Mapping[str, Any]:
        """The body of ``/info``."""
        return {
            "service": "kaa-epr",
            "version": kaa_epr.__version__,
            "instance": self.settings.service.instance_name,
            "replica": self.replica_id,
            "worker": self.worker,
            "engine": self.engine.name,
            "mongo_driver": self.store.driver,
            "python": platform.python_version(),
            "link": asdict(self.link.status()),
            "change_stream": self.witness.stream_state,
        }

    def _srv_metadata(self) -> dict[str, str]:
        link = self.link.status()
        return {
            "engine": self.engine.name,
            "fast_path": "in use" if link.fast_path else f"not in use: {link.fast_path_reason}",
            "replica": self.replica_id,
            "change_stream": self.witness.stream_state,
        }

    def _endpoint_stats(self) -> Mapping[str, EndpointStats]:
        reads = read_stats(self.engine.stats(), self.metrics.chunk_seconds)
        return {**reads, **(self.register.endpoint_stats() if self.register is not None else {})}

    async def _look_for_bugs(self) -> None:
        while True:
            self._report_bugs()
            self._bugs.well()
            await asyncio.sleep(BUGS_INTERVAL)

    def _report_bugs(self) -> None:
        for correlation_id in self.engine.take_bugs():
            _log.error("a get met a bug and was answered 500", correlation_id=correlation_id)

    # --- end ------------------------------------------------------------------------------------------------
    async def drain(self, ending: Ending | None = None) -> bool:
        """Takes no more requests, answers all that came, and closes; whether nothing had to be given up.

        Gets: UNSUB, a PING behind it; what came before the PONG, and what waits for loads, is answered. The
        management server answers until the end, not ready. Parts that were never started end as well.
        """
        ending = ending or Ending(self.settings.service.drain_timeout)
        self.health.phase = Phase.DRAINING
        _log.info("draining")
        works = {"gets": self._end_gets(ending)}
        if self._api is not None:
            works["services API"] = self._api.stop()
        if self.register is not None:
            works["register"] = self.register.stop(ending)
        await ending.steps(works)
        await ending.step("second witness", self.witness.stop())
        await ending.steps({"NATS connection": self.link.close(ending), "store": self._close_store()})
        await ending.step("upkeep", self._bugs.stop())
        self._loop_watch.stop()
        if self._management is not None:
            await ending.step("management server", self._management.stop())
        _log.info("stopped", **({"flaws": ending.flaws} if ending.flaws else {}))
        return not ending.flaws

    async def _end_gets(self, ending: Ending) -> None:
        await self.link.stop_requests(min(ending.patience, FLUSH_TIMEOUT))
        if not await self.loader.drain(ending.patience):
            ending.give_up("gets that wait for loads; they are answered 503", gets=self.engine.pending())
        await self.loader.stop()

    async def _close_store(self) -> None:
        await self._old_clients.stop()
        await self.store.close()
