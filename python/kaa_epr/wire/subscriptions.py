"""The subscriptions of one session: events first, gets last, and what the server said to them.

Ears (design section 3, rules 3 and 4): entries are served only while the server has confirmed every event
subscription of this connection. A refusal reaches nats-py as an error and leaves it connected, so after a
PONG that lies behind the SUBs we look whether one came.
"""

from __future__ import annotations

from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.subscription import Subscription

from kaa_epr.engine.api import Kind
from kaa_epr.wire.callbacks import Callbacks
from kaa_epr.wire.fast import FastPath

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


class Subscriptions:
    """Made on one client; nats-py makes them again on each of its reconnects."""

    def __init__(self, client: Client, subjects: Subjects, fast: FastPath, callbacks: Callbacks) -> None:
        self._client = client
        self._subjects = subjects
        self._fast = fast
        self._callbacks = callbacks
        self._made: dict[str, Subscription] = {}
        self._refused: set[str] = set()

    async def make_events(self) -> None:
        """Those that are absent or were refused; raises what nats-py raises when it is closed."""
        for subject, kind in self._subjects.events.items():
            if await self._is_wanted(subject):
                made = await self._client.subscribe(subject, cb=self._callbacks.event(kind))
                self._keep(subject, made, kind)

    async def make_get(self) -> None:
        """The request subscription, if it is absent or was refused."""
        if await self._is_wanted(self._subjects.get):
            made = await self._client.subscribe(
                self._subjects.get,
                self._subjects.queue_group,
                cb=self._callbacks.get,
                pending_msgs_limit=GET_PENDING_MESSAGES,
                pending_bytes_limit=GET_PENDING_BYTES,
            )
            self._keep(self._subjects.get, made, Kind.GET)

    async def _is_wanted(self, subject: str) -> bool:
        """Whether ``subject`` has to be subscribed to; a refused subscription is given up first."""
        if subject in self._refused:
            self._refused.discard(subject)
            if (old := self._made.pop(subject, None)) is not None:
                self._fast.unbind(old)
                await old.unsubscribe()
        return subject not in self._made

    def _keep(self, subject: str, subscription: Subscription, kind: Kind) -> None:
        self._fast.bind(subscription, kind)
        self._made[subject] = subscription

    # --- what the server said -------------------------------------------------------------------------------
    def refuse(self, text: str) -> None:
        """The server's refusal; it names the subject, which nats-py has put in lower case."""
        known = (self._subjects.get, *self._subjects.events)
        self._refused.update(subject for subject in known if f'"{subject.lower()}"' in text)

    def begin_anew(self) -> None:
        """Another connection: what the last server refused is not known of this one."""
        self._refused.clear()

    @property
    def get(self) -> Subscription | None:
        """The request subscription."""
        return self._made.get(self._subjects.get)

    @property
    def get_refused(self) -> bool:
        """Whether the server refused the request subscription."""
        return self._subjects.get in self._refused

    def deaf_to(self) -> list[str]:
        """Event subjects that are refused or absent."""
        return [s for s in self._subjects.events if s in self._refused or s not in self._made]

    def is_event(self, subscription: Subscription | None) -> bool:
        """Whether this is one of the event subscriptions."""
        return any(
            made is subscription for subject, made in self._made.items() if subject in self._subjects.events
        )

    def unread_events(self) -> bool:
        """Whether events have arrived that no callback has seen yet."""
        return any(made.pending_msgs for subject, made in self._made.items() if subject != self._subjects.get)
