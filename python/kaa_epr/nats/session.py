"""One nats-py client from ``connect()`` to its end: transport, subscriptions, reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from nats import errors as nats_errors

from kaa_epr.clock import mono_ms, wall_ms
from kaa_epr.config.nats import NatsSettings
from kaa_epr.engine.api import Engine, FlushCause
from kaa_epr.log import Repeats, get_logger
from kaa_epr.nats import internals
from kaa_epr.nats.callbacks import Callbacks
from kaa_epr.nats.fast import FastPath
from kaa_epr.nats.flushing import FLUSH_TIMEOUT, confirmed_flush, stop_subscriptions
from kaa_epr.nats.options import connect_options, wait_or
from kaa_epr.nats.protocol import Hooks
from kaa_epr.nats.subscriptions import Subjects, Subscriptions
from kaa_epr.nats.tolerant import TolerantClient
from kaa_epr.nats.traffic import Traffic
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

MEND_INTERVAL = 2.0
"""Seconds between attempts at what the server refused or did not confirm."""

CLOSE_TIMEOUT = 1.0
"""Seconds nats-py has for closing; a connection that takes nothing any more would keep it for ever."""


class Session:
    """Opens once, ends once; the link makes a new one after any end it did not ask for."""

    def __init__(
        self,
        settings: NatsSettings,
        name: str,
        subjects: Subjects,
        engine: Engine,
        hooks: Hooks,
        changed: Callable[[], None],
        supervisor: Supervisor,
    ) -> None:
        self._settings, self._name = settings, name
        self._engine, self._changed = engine, changed
        self._repeats = Repeats()
        self.client = TolerantClient()
        self.fast = FastPath(settings, engine, self.client, hooks)
        self.traffic = Traffic(self.client, engine, hooks, self.fast, supervisor)
        callbacks = Callbacks(engine, self.traffic.write_drained, hooks.loads, self._unread_events)
        self.subscriptions = Subscriptions(self.client, subjects, self.fast, callbacks)
        self.opened = False
        """The request subscription was sent and processed: gets come."""
        self.hearing = False
        """Every event subscription of this connection is confirmed."""
        self.ended = asyncio.Event()
        self.connects = self.disconnects = 0
        self.overflow_requests = self.overflow_events = 0
        self._lost = asyncio.Event()
        self._leaving_queue_group = False
        self._mending = supervisor.lasting("link_mend", self._mend)
        self._supervisor = supervisor
        self._pieces: dict[str, asyncio.Task[None]] = {}

    # --- beginning ------------------------------------------------------------------------------------------
    async def open(self) -> None:
        """Connects (for as long as it takes) and subscribes: events first, requests last."""
        self.fast.inject()
        await self.client.connect(
            **connect_options(self._settings, self._name),
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
            lame_duck_mode_cb=self._on_lame_duck,
        )
        self.connects += 1
        await self.flush()
        self.fast.verify()
        if not self.fast.in_use:
            self._link_up()
        await self.subscriptions.make_events()
        await self._listen()
        await self.subscriptions.make_requests()
        await self.flush()
        self.opened = True
        self._changed()
        self._mending.start()

    def _run(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """One piece of each name at a time; it ends with the session."""
        running = self._pieces.get(name)
        if running is None or running.done():
            self._pieces[name] = self._supervisor.passing(f"link_{name}").run(work())

    def _link_up(self) -> None:
        """Callback path: the transport is nats-py's, so nobody else tells the engine."""
        info = internals.server_info(self.client)
        held = self._engine.link_up(
            max_payload=self.client.max_payload,
            headers=bool(info.get("headers", False)),
            cluster=bool(info.get("cluster") or info.get("connect_urls")),
            wall_ms=wall_ms(),
            mono_ms=mono_ms(),
        )
        self.traffic.write(held)

    @property
    def answering(self) -> bool:
        """Whether gets come and can be answered from the cache."""
        return self.opened and self.hearing and not self.subscriptions.get_refused

    # --- ears -----------------------------------------------------------------------------------------------
    def _unread_events(self) -> bool:
        return self.subscriptions.unread_events()

    async def _listen(self) -> None:
        """Asks whether every event subscription stands, and opens or closes the ears accordingly."""
        connection = self.disconnects
        await self.flush()
        if connection != self.disconnects:
            return
        deaf_to = self.subscriptions.deaf_to()
        self._set_hearing(not deaf_to)
        if deaf_to and self._repeats.allow("refused") is not None:
            _log.error("event subscriptions refused, the cache is not used", subjects=sorted(deaf_to))

    def _set_hearing(self, hearing: bool) -> None:
        self.hearing = hearing
        self._engine.ears(hearing, mono_ms())
        self._changed()

    async def flush(self, seconds: float = FLUSH_TIMEOUT) -> None:
        """As ``confirmed_flush``."""
        await confirmed_flush(self.client, self._lost, seconds)

    async def _mend(self) -> None:
        """Permissions can change while we are connected, and a busy server may confirm late: tries again."""
        while not await wait_or(self.ended, MEND_INTERVAL):
            self._mending.well()
            broken = not self.hearing or self.subscriptions.refused_requests
            if not broken or not self.client.is_connected or self._leaving_queue_group:
                continue
            try:
                await self.subscriptions.make_events()
                await self._listen()
                await self.subscriptions.make_requests()
                await self.flush()
            except nats_errors.Error as error:
                self._repeats.warning(_log, "subscribing again failed", error=str(error))
            self._changed()

    # --- nats-py's callbacks --------------------------------------------------------------------------------
    async def _on_error(self, error: Exception) -> None:
        text = str(error)
        if isinstance(error, nats_errors.SlowConsumerError):
            self._on_overflow(error)
        elif "permissions violation for subscription" in text:
            self._on_refused(text)
        else:
            self._repeats.warning(_log, "nats error", error=text, kind=type(error).__name__)

    def _on_overflow(self, error: nats_errors.SlowConsumerError) -> None:
        if self.subscriptions.is_event(error.sub):
            self.overflow_events += 1
            self._engine.flush(FlushCause.EVENT_OVERFLOW)
        else:
            self.overflow_requests += 1
        self._repeats.warning(_log, "nats subscription overflowed, message dropped", subject=error.subject)

    def _on_refused(self, text: str) -> None:
        self.subscriptions.refuse(text)
        if self.hearing and self.subscriptions.deaf_to():
            self._set_hearing(False)
        if self._repeats.allow(text) is not None:
            _log.error("nats server refused a subscription", error=text)
        self._changed()

    async def _on_disconnected(self) -> None:
        if not self.ended.is_set():
            _log.warning("nats connection lost")
            self._engine.link_down()
        self._lost.set()
        self.hearing = False
        self.subscriptions.begin_anew()
        self.disconnects += 1
        if self._leaving_queue_group:
            self._forget_requests()
        self._changed()

    async def _on_reconnected(self) -> None:
        self.connects += 1
        self._lost = asyncio.Event()
        if not self.fast.in_use:
            self._link_up()
        try:
            await self._listen()
        except nats_errors.Error as error:
            _log.warning("event subscriptions not confirmed yet", error=str(error))
            return
        url = self.client.connected_url
        _log.info("nats reconnected", server="" if url is None else url.netloc.rpartition("@")[2])

    async def _on_closed(self) -> None:
        self.ended.set()
        self._changed()

    async def _on_lame_duck(self) -> None:
        """The server is going away: leave it now, without losing what it already sent us."""
        _log.info("nats server entered lame duck mode")
        if len(self.client.servers) > 1:
            # Not here: nats-py's read loop waits for this callback, and leaving takes a PONG.
            self._run("leave", self._leave)

    async def _leave(self) -> None:
        try:
            await stop_subscriptions(self.client, self.subscriptions.requests, self._lost)
            await self.traffic.drain()
            await self.flush()
        except (nats_errors.Error, OSError) as error:
            _log.info("nats server closed the connection first", error=str(error))
        # Answers from now on are for the next connection.
        self._engine.link_down()
        await self.client.force_reconnect()

    # --- liveness -------------------------------------------------------------------------------------------
    def ping(self) -> None:
        """Asks for a sign of life."""
        self._run("ping", self._ping)

    async def _ping(self) -> None:
        try:
            await internals.send_ping(self.client)
        except OSError as error:
            _log.debug("no PING on a connection that is lost", error=str(error))

    async def leave_dead(self) -> None:
        """Another connection, without waiting for what this one has not sent."""
        await self.client.force_reconnect()
        self.traffic.abort()

    # --- end ------------------------------------------------------------------------------------------------
    async def stop_requests(self, seconds: float) -> None:
        """When this returns, every request the server sent us has been read, and none comes any more.

        Raises nats.errors.Error when the connection is lost first, or takes longer than ``seconds``.
        """
        self._leaving_queue_group = True
        requests = self.subscriptions.requests
        try:
            if requests and self.client.is_connected:
                await stop_subscriptions(self.client, requests, self._lost, seconds)
        finally:
            self._forget_requests()

    def _forget_requests(self) -> None:
        for request in self.subscriptions.requests:
            internals.forget(self.client, request)

    async def close(self) -> None:
        """Ends the session; nothing is reconnected. Raises what nats-py raises."""
        self.ended.set()
        self._mending.cancel()
        for task in self._pieces.values():
            task.cancel()
        self.traffic.stop()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await internals.close(self.client)
        except TimeoutError:
            _log.warning("nats connection does not take what is unsent, dropped it")
        finally:
            for request in self.subscriptions.requests:
                internals.end_callback(request)
            self.fast.retire()
