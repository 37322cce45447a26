"""Putting our transport into nats-py, and telling whether it is really in use."""

from __future__ import annotations

from typing import TypeGuard
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.aio.subscription import Subscription

from kaa_epr.config.nats import NatsSettings
from kaa_epr.engine.api import Engine, FastEngine, Kind
from kaa_epr.log import get_logger
from kaa_epr.nats import internals
from kaa_epr.nats.protocol import Hooks
from kaa_epr.nats.transport import FastTransport, Movement

_log = get_logger(__name__)


def is_fast(engine: Engine) -> TypeGuard[FastEngine]:
    """Whether the engine can read a connection's bytes itself."""
    return hasattr(engine, "reader")


class FastPath:
    """The fast path of one client, or the reason why there is none."""

    def __init__(self, settings: NatsSettings, engine: Engine, client: Client, hooks: Hooks) -> None:
        self._client = client
        self._engine = engine
        self._transport: FastTransport | None = None
        self._bound: set[int] = set()
        self.reason = self._obstacle(settings)
        """Why gets come through ordinary subscriptions; None on the fast path."""
        if self.reason is None and is_fast(engine):
            self._transport = FastTransport(engine, hooks, settings.write_buffer_limit)

    def _obstacle(self, settings: NatsSettings) -> str | None:
        if settings.fast_path == "off":
            return "switched off (nats.fast_path)"
        if not is_fast(self._engine):
            return f"the {self._engine.name} engine has none"
        if any(urlsplit(str(server)).scheme in ("ws", "wss") for server in settings.servers):
            return "WebSocket servers"
        if not internals.supported(self._client):
            return "this nats-py takes no transport"
        return None

    def inject(self) -> None:
        """Before ``connect()``."""
        if self._transport is not None:
            internals.set_transport(self._client, self._transport)

    def verify(self) -> None:
        """After ``connect()`` and one round trip: nats-py must be reading through us."""
        ours = self._transport
        if ours is not None and not (internals.transport_of(self._client) is ours and ours.in_use):
            self._transport = None
            self.reason = "nats-py put its own transport in the place of ours"
        if self.reason is None:
            _log.info("fast path in use")
        else:
            _log.warning("fast path not in use, answering from subscription callbacks", reason=self.reason)

    @property
    def in_use(self) -> bool:
        """Whether the core reads the connection itself."""
        return self._transport is not None

    def bind(self, subscription: Subscription, kind: Kind) -> None:
        """From now on the core takes this subscription's messages; until now its callback did."""
        if self._transport is not None and is_fast(self._engine):
            sid = internals.sid_of(subscription)
            self._engine.bind(sid, kind)
            self._bound.add(sid)

    def unbind(self, subscription: Subscription) -> None:
        """Gives the subscription back to its callback."""
        sid = internals.sid_of(subscription)
        if is_fast(self._engine) and sid in self._bound:
            self._engine.unbind(sid)
            self._bound.discard(sid)

    def unbind_all(self) -> None:
        """The client is gone; its successor counts its subscriptions from 1 again."""
        if is_fast(self._engine):
            for sid in self._bound:
                self._engine.unbind(sid)
        self._bound.clear()

    def movement(self) -> Movement | None:
        """What ``FastTransport.movement`` says; None off the fast path."""
        return None if self._transport is None else self._transport.movement()

    def retire(self) -> None:
        """The client is given up: it must not reach the engine any more."""
        if self._transport is not None:
            self._transport.retire()
        elif (transport := internals.socket_transport(self._client)) is not None:
            transport.abort()
