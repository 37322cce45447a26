"""The subscriptions of one session: events first, requests last, and what the server said to them.

Ears (coherence rules 3 and 4): entries are served only while the server has confirmed every event
subscription of this connection. A refusal reaches nats-py as an error and leaves it connected, so after a
PONG that lies behind the SUBs we look whether one came.
"""

from __future__ import annotations

from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.subscription import Subscription

from kaa_epr.engine.api import Kind
from kaa_epr.nats.callbacks import Callbacks
from kaa_epr.nats.fast import FastPath

REQUEST_PENDING_MESSAGES = 65_536
REQUEST_PENDING_BYTES = 64 * 1024 * 1024
"""Bounds of nats-py's queue of one request type on the callback path; what is beyond is dropped, counted and
logged, and its requester asks again. The queues of events have nats-py's own, larger bounds."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """What the responder subscribes to."""

    requests: dict[str, Kind]
    """Subject → kind, of what is answered from entries."""
    queue_group: str
    events: dict[str, Kind]
    """Subject → kind, of what invalidates them."""


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

    async def make_requests(self) -> None:
        """The request subscriptions that are absent or were refused."""
        for subject, kind in self._subjects.requests.items():
            if await self._is_wanted(subject):
                made = await self._client.subscribe(
                    subject,
                    self._subjects.queue_group,
                    cb=self._callbacks.request(kind),
                    pending_msgs_limit=REQUEST_PENDING_MESSAGES,
                    pending_bytes_limit=REQUEST_PENDING_BYTES,
                )
                self._keep(subject, made, kind)

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
        known = (*self._subjects.requests, *self._subjects.events)
        self._refused.update(subject for subject in known if f'"{subject.lower()}"' in text)

    def begin_anew(self) -> None:
        """Another connection: what the last server refused is not known of this one."""
        self._refused.clear()

    @property
    def requests(self) -> list[Subscription]:
        """The request subscriptions."""
        return [made for subject, made in self._made.items() if subject in self._subjects.requests]

    @property
    def refused_requests(self) -> tuple[str, ...]:
        """Request subjects that the server refused."""
        return tuple(subject for subject in self._subjects.requests if subject in self._refused)

    @property
    def get_refused(self) -> bool:
        """Whether one of these is that of metadata gets, without which this is no responder."""
        return any(self._subjects.requests[subject] is Kind.GET for subject in self.refused_requests)

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
        return any(
            made.pending_msgs for subject, made in self._made.items() if subject in self._subjects.events
        )
