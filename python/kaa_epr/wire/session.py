"""One nats-py client from ``connect()`` to its end: transport, subscriptions, ears.

Ears (design section 3, rules 3 and 4): entries are served only while the server has confirmed every event
subscription of this connection. A refusal reaches nats-py as an error and leaves it connected, so after a
PONG that lies behind the SUBs we look whether one came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from nats import errors as nats_errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from kaa_epr.clock import mono_ms, wall_ms
from kaa_epr.config.nats import NatsSettings
from kaa_epr.engine.api import Engine, FlushCause, Kind
from kaa_epr.log import Repeats, get_logger
from kaa_epr.wire import internals
from kaa_epr.wire.callbacks import Callbacks
from kaa_epr.wire.fast import FastPath
from kaa_epr.wire.flushing import confirmed_flush, stop_subscription
from kaa_epr.wire.options import connect_options, wait_or
from kaa_epr.wire.transport import FastTransport, Hooks

_log = get_logger(__name__)

RETRY_REFUSED = 5.0
"""Seconds between attempts at a subscription that the server refused."""

GET_PENDING_MESSAGES = 65_536
GET_PENDING_BYTES = 64 * 1024 * 1024
"""Bounds of nats-py's queue of gets on the callback path; what is beyond is dropped and logged."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """What the responder subscribes to."""

    get: str
    queue_group: str
    events: dict[str, Kind]
    """Subject → kind."""


@dataclass(slots=True)
class Ears:
    """What is known of this connection's subscriptions."""

    hearing: bool = False
    refused: set[str] = field(default_factory=set)
    """Subjects that the server refused, in lower case (nats-py lowers its errors)."""


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
    ) -> None:
        self._settings = settings
        self._name = name
        self._subjects = subjects
        self._engine = engine
        self._changed = changed
        self._repeats = Repeats()
        self.client = Client()
        self.fast = FastPath(settings, engine, self.client, hooks)
        self.callbacks = Callbacks(engine, self._write_drained, hooks.loads, self._unread_events)
        self.ears = Ears()
        self.ended = asyncio.Event()
        self.connects = 0
        self.disconnects = 0
        self._get: Subscription | None = None
        self._events: dict[str, Subscription] = {}
        self._retry: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None

    # --- beginning ------------------------------------------------------------------------------------------
    async def open(self) -> None:
        """Connects (for as long as it takes) and subscribes: events first, gets last."""
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
        self.fast.verify()
        if not self.fast.in_use:
            self._link_up()
        for subject, kind in self._subjects.events.items():
            await self._subscribe_event(subject, kind)
        await self._listen()
        self._get = await self.client.subscribe(
            self._subjects.get,
            self._subjects.queue_group,
            cb=self.callbacks.get,
            pending_msgs_limit=GET_PENDING_MESSAGES,
            pending_bytes_limit=GET_PENDING_BYTES,
        )
        self.fast.bind(self._get, Kind.GET)
        await self.flush()
        self._retry = asyncio.get_running_loop().create_task(self._retry_refused())

    async def _subscribe_event(self, subject: str, kind: Kind) -> None:
        subscription = await self.client.subscribe(subject, cb=self.callbacks.event(kind))
        self.fast.bind(subscription, kind)
        self._events[subject] = subscription

    def _unread_events(self) -> bool:
        return any(subscription.pending_msgs for subscription in self._events.values())

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
        if held:
            internals.transport_of(self.client).write(held)

    async def _listen(self) -> None:
        """Asks whether every event subscription stands, and opens or closes the ears accordingly."""
        await self.flush()
        refused = {subject for subject in self._events if subject.lower() in self.ears.refused}
        hearing = not refused and len(self._events) == len(self._subjects.events)
        self._set_hearing(hearing)
        if refused:
            _log.error("event subscriptions refused, the cache is not used", subjects=sorted(refused))

    def _set_hearing(self, hearing: bool) -> None:
        self.ears.hearing = hearing
        self._engine.ears(hearing, mono_ms())
        self._changed()

    async def flush(self) -> None:
        """Returns when the server has processed everything sent before the call."""
        await confirmed_flush(self.client)

    async def _retry_refused(self) -> None:
        """Permissions can be mended while we are connected: tries refused subscriptions again."""
        while not await wait_or(self.ended, RETRY_REFUSED):
            refused = [subject for subject in self._events if subject.lower() in self.ears.refused]
            if not refused or not self.client.is_connected:
                continue
            try:
                for subject in refused:
                    await self._resubscribe(subject)
                await self._listen()
            except nats_errors.Error as error:
                self._repeats.warning(_log, "subscribing again failed", error=str(error))

    async def _resubscribe(self, subject: str) -> None:
        old = self._events.pop(subject)
        self.fast.unbind(old)
        await old.unsubscribe()
        self.ears.refused.discard(subject.lower())
        await self._subscribe_event(subject, self._subjects.events[subject])

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
        if error.sub in self._events.values():
            self._engine.flush(FlushCause.EVENT_OVERFLOW)
        self._repeats.warning(_log, "nats subscription overflowed, message dropped", subject=error.subject)

    def _on_refused(self, text: str) -> None:
        known = [self._subjects.get, *self._subjects.events]
        refused = {subject.lower() for subject in known if f'"{subject.lower()}"' in text}
        self.ears.refused |= refused
        if refused & {subject.lower() for subject in self._events}:
            self._set_hearing(False)
        _log.error("nats server refused a subscription", error=text)
        self._changed()

    async def _on_disconnected(self) -> None:
        self._engine.link_down()
        self.ears = Ears()
        self.disconnects += 1
        self._changed()
        if not self.ended.is_set():
            _log.warning("nats connection lost")

    async def _on_reconnected(self) -> None:
        self.connects += 1
        if not self.fast.in_use:
            self._link_up()
        try:
            await self._listen()
        except nats_errors.Error as error:
            # The connection is lost again, or does not answer: nats-py or liveness begins anew.
            _log.warning("event subscriptions not confirmed", error=str(error))
            return
        url = self.client.connected_url
        _log.info("nats reconnected", server="" if url is None else url.netloc.rpartition("@")[2])

    async def _on_closed(self) -> None:
        self._engine.link_down()
        self.ears = Ears()
        self.ended.set()
        self._changed()

    async def _on_lame_duck(self) -> None:
        """The server is going away: leave it now, without losing what it already sent us."""
        _log.info("nats server entered lame duck mode")
        if len(self.client.servers) > 1:
            # Not here: nats-py's read loop waits for this callback, and leaving takes a PONG.
            self._leaving = asyncio.get_running_loop().create_task(self._leave())

    async def _leave(self) -> None:
        try:
            await self.stop_gets()
            await self.drain_writes()
            await self.flush()
            await self.client.force_reconnect()
        except (nats_errors.Error, OSError) as error:
            _log.info("nats server closed the connection first", error=str(error))

    # --- writing --------------------------------------------------------------------------------------------
    def write(self, out: bytes) -> None:
        """The engine's answers to landed gets."""
        transport = internals.transport_of(self.client)
        if isinstance(transport, FastTransport):
            transport.write_answers(out)
        else:
            transport.write(out)

    async def _write_drained(self, out: bytes) -> None:
        """As ``write``; waits while the connection has too much unsent, and with it nats-py's callback."""
        self.write(out)
        await internals.drain(self.client)

    async def drain_writes(self) -> None:
        """Until the transport's buffer is below its ceiling (and, on WebSocket, is sent at all)."""
        await internals.drain(self.client)

    # --- end ------------------------------------------------------------------------------------------------
    async def stop_gets(self) -> None:
        """When this returns, every get the server sent us has been read, and none comes any more."""
        if self._get is not None and self.client.is_connected:
            await stop_subscription(self.client, self._get)

    async def close(self) -> None:
        """Ends the session; nothing is reconnected."""
        self.ended.set()
        for task in (self._retry, self._leaving):
            if task is not None:
                task.cancel()
        await self.client.close()

    @property
    def bytes_read(self) -> int:
        """From the server, since this session began (on the callback path: payloads only)."""
        moved = self.fast.progress()
        return self.client.stats["in_bytes"] if moved is None else moved[0]

    @property
    def unsent(self) -> int:
        """Bytes in the write buffer (unknown on the callback path: 0)."""
        moved = self.fast.progress()
        return 0 if moved is None else moved[1]

    @property
    def get_refused(self) -> bool:
        """Whether the server refused the request subscription."""
        return self._subjects.get.lower() in self.ears.refused
