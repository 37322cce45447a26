"""The connection to NATS, for as long as the service runs.

nats-py reconnects by itself; but some things close its client for good (one publish over ``max_payload``, an
authorization error while connected) or leave it deaf (its read loop dies). The link makes a new client after
any end it did not ask for, with jittered back-off, for ever.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from nats import errors as nats_errors

from kaa_epr.backoff import jittered
from kaa_epr.config.nats import NatsSettings
from kaa_epr.ending import Ending
from kaa_epr.engine.api import Engine
from kaa_epr.log import Repeats, get_logger
from kaa_epr.metrics import LinkStats
from kaa_epr.nats.bridge import Bridge
from kaa_epr.nats.flushing import FLUSH_TIMEOUT
from kaa_epr.nats.liveness import Liveness
from kaa_epr.nats.options import unless, wait_or
from kaa_epr.nats.protocol import Hooks
from kaa_epr.nats.session import CLOSE_TIMEOUT, Session
from kaa_epr.nats.subscriptions import Subjects
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

RELOAD_SECONDS = 10.0
"""How long a reload waits for the new session before its bridge leaves; the link goes on connecting."""


_LAST_SECONDS = 0.5
"""For the last answers to go out, if no time is left at all."""


class Tenant(Protocol):
    """Whoever else uses the sessions' connections, and must know when one takes another's place."""

    async def opened(self, session: Session) -> None:
        """A session has subscribed."""

    async def bridged(self, bridge: Bridge) -> None:
        """A session is about to be replaced; meanwhile requests may be taken on the bridge's client."""

    async def leave(self, session: Session, seconds: float) -> None:
        """Takes no more requests on the session; returns when those under way are answered or can wait."""

    async def arrived(self, bridge: Bridge) -> None:
        """The replacement is over, whether it came to something or not: the bridge is about to end."""


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What health, ``/info`` and ``$SRV.INFO`` say of the link."""

    connected: bool = False
    hearing: bool = False
    subscribed: bool = False
    """The server has taken the request subscriptions of this session, those that it refused aside."""
    get_refused: bool = False
    refused_requests: tuple[str, ...] = ()
    """Request subjects that the server refused, that of metadata gets included."""
    fast_path: bool = False
    fast_path_reason: str | None = "not connected yet"
    server: str | None = None
    """URL without credentials."""


@dataclass(slots=True)
class _Past:
    """Counts of the sessions that have ended."""

    connects: int = 0
    disconnects: int = 0
    bytes_read: int = 0
    overflow_requests: int = 0
    overflow_events: int = 0


class Link:
    """Supervises sessions; the ``tenant`` moves with them."""

    def __init__(
        self,
        settings: NatsSettings,
        name: str,
        subjects: Subjects,
        engine: Engine,
        hooks: Hooks,
        tenant: Tenant,
        supervisor: Supervisor | None = None,
    ) -> None:
        self._settings = settings
        self._name = name
        self._subjects = subjects
        self._engine = engine
        self._hooks = hooks
        self._tenant = tenant
        self._repeats = Repeats()
        self._stopping = asyncio.Event()
        self._session: Session | None = None
        self._supervisor = supervisor or Supervisor()
        self._work = self._supervisor.lasting("link", self._supervise, on_failure=self._give_up_session)
        self._past = _Past()
        self._opened = asyncio.Event()
        self._at_once = False
        self.ready = asyncio.Event()
        """Set when gets are answered for the first time."""

    def start(self) -> None:
        """Begins connecting; ``ready`` tells when it came to something."""
        self._work.start()

    async def _supervise(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            session = Session(
                self._settings,
                self._name,
                self._subjects,
                self._engine,
                self._hooks,
                self._changed,
                self._supervisor,
            )
            self._session = session
            try:
                await unless(session.ended, self._open(session))
                if session.opened:
                    attempt = 0
                    await Liveness(session, self._settings.ping_interval).watch()
            except (nats_errors.Error, OSError) as error:
                self._repeats.warning(
                    _log, "nats session failed", error=str(error), kind=type(error).__name__
                )
            finally:
                await self._end(session)
            attempt += 1
            await self._back_off(attempt)

    async def _open(self, session: Session) -> None:
        await session.open()
        await self._tenant.opened(session)
        self._opened.set()
        self._work.well()

    def _give_up_session(self) -> None:
        """After a failure that nobody expected: whatever the session is in, another one takes its place."""
        session, self._session = self._session, None
        self._engine.link_down()
        if session is not None:
            session.ended.set()
            session.fast.retire()
            session.fast.unbind_all()

    async def _back_off(self, attempt: int) -> None:
        if self._at_once:
            self._at_once = False
            return
        wait = jittered(self._settings.reconnect_wait, self._settings.reconnect_wait_max, attempt)
        await wait_or(self._stopping, wait)

    async def _end(self, session: Session) -> None:
        self._session = None
        # First of all: what is answered from now on would be written to a connection that is closing.
        self._engine.link_down()
        try:
            await session.close()
        except (nats_errors.Error, OSError) as error:
            # Whatever state the client is in, it is given up.
            _log.debug("nats session did not close in order", error=str(error))
        self._past.connects += session.connects
        self._past.disconnects += session.disconnects
        self._past.bytes_read += session.traffic.bytes_read
        self._past.overflow_requests += session.overflow_requests
        self._past.overflow_events += session.overflow_events
        session.fast.unbind_all()

    def _changed(self) -> None:
        if self._session is not None and self._session.answering:
            self.ready.set()

    def status(self) -> LinkStatus:
        """The link at this moment."""
        session = self._session
        if session is None:
            return LinkStatus()
        url = session.client.connected_url
        return LinkStatus(
            connected=session.client.is_connected,
            hearing=session.hearing,
            subscribed=session.opened,
            get_refused=session.subscriptions.get_refused,
            refused_requests=session.subscriptions.refused_requests,
            fast_path=session.fast.in_use and session.client.is_connected,
            fast_path_reason=session.fast.reason,
            server=None if url is None else f"{url.scheme}://{url.netloc.rpartition('@')[2]}",
        )

    def stats(self) -> LinkStats:
        """For the metrics."""
        session, status = self._session, self.status()
        return LinkStats(
            up=status.connected,
            ears=status.hearing,
            fast_path=status.fast_path,
            connects=self._past.connects + (session.connects if session else 0),
            disconnects=self._past.disconnects + (session.disconnects if session else 0),
            bytes_read=self._past.bytes_read + (session.traffic.bytes_read if session else 0),
            write_buffer_bytes=session.traffic.unsent if session else 0,
            overflow_requests=self._past.overflow_requests + (session.overflow_requests if session else 0),
            overflow_events=self._past.overflow_events + (session.overflow_events if session else 0),
        )

    def write(self, out: bytes) -> None:
        """Answers to landed gets. Between two sessions nobody takes them, and the engine holds them."""
        if self._session is not None:
            self._session.traffic.write(out)

    async def _write(self, out: bytes) -> None:
        self.write(out)

    async def reload(self, settings: NatsSettings) -> None:
        """Replaces the session by one with these settings; a bridge takes the gets in between.

        Raises what connecting raises when the settings do not lead to a connection: then all stays as it was.
        """
        bridge = Bridge(
            settings, f"{self._name}-reload", self._subjects, self._engine, self._hooks, self._write
        )
        async with bridge:
            await self._tenant.bridged(bridge)
            try:
                await self._replace(settings)
            finally:
                await self._tenant.arrived(bridge)

    async def _replace(self, settings: NatsSettings) -> None:
        self._settings = settings
        self._opened.clear()
        self._at_once = True
        if (old := self._session) is not None:
            await self._tenant.leave(old, FLUSH_TIMEOUT)
            await self._leave(old, FLUSH_TIMEOUT)
            old.ended.set()
        if not await wait_or(self._opened, RELOAD_SECONDS):
            _log.warning("nats session with the new settings is not there yet; it is tried again and again")

    async def _leave(self, session: Session, seconds: float) -> None:
        """Takes no more gets, and lets the server have every answer that is ready."""
        if not session.client.is_connected:
            return
        try:
            await session.stop_requests(seconds)
            await self._send_all(session, seconds)
        except (nats_errors.Error, OSError) as error:
            _log.warning("nats connection lost while leaving it", error=str(error))

    async def _send_all(self, session: Session, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await session.traffic.drain()
        except TimeoutError:
            raise nats_errors.FlushTimeoutError from None
        await session.flush(seconds)

    # --- drain ----------------------------------------------------------------------------------------------
    async def stop_requests(self, seconds: float) -> None:
        """No request comes after this; see ``Session.stop_requests``."""
        self._stopping.set()
        if self._session is not None:
            try:
                await self._session.stop_requests(seconds)
            except (nats_errors.Error, OSError) as error:
                _log.warning("nats connection lost while draining", error=str(error))

    async def close(self, ending: Ending) -> None:
        """Flushes what was written, and ends."""
        self._stopping.set()
        session = self._session
        if session is not None and session.client.is_connected:
            try:
                await self._send_all(session, max(ending.left, _LAST_SECONDS))
            except (nats_errors.Error, OSError) as error:
                _log.warning("nats connection lost while draining", error=str(error))
        if session is not None:
            session.ended.set()
        # A connection that takes nothing any more is dropped within this.
        await self._work.ended(2 * CLOSE_TIMEOUT)
        await self._work.stop()
