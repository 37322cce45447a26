"""The writes of 19/EPMMP: metadata patch, key update, key batch update.

Ordinary subscriptions of nats-py on the session's client. Many requests are under way at once: one that is a
single change joins those that wait for the next batch, any other becomes a task. The answer is written behind
the events of its change, on the same connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from time import perf_counter_ns
from typing import Any, Final

from nats import errors as nats_errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from kaa_epr.clock import wall_ms
from kaa_epr.log import Repeats, get_logger
from kaa_epr.messages import subjects
from kaa_epr.nats.flushing import stop_subscriptions
from kaa_epr.nats.outlet import SessionOutlet
from kaa_epr.nats.publisher import PublishFailed
from kaa_epr.nats.services_api import EndpointStats, endpoint_name
from kaa_epr.refusals import Refusal, Stored, TooLarge, Unavailable
from kaa_epr.register.epmmp.codec import UNREAD, Codec, Operation
from kaa_epr.register.intake.budget import Budget
from kaa_epr.reply import may_answer_to
from kaa_epr.slices import Slice

_log = get_logger(__name__)

MAX_REQUESTS: Final = 4096
"""Under way at once; a further one is answered 503, as is one beyond the budget of bytes."""
HANDOVER_SECONDS: Final = 12.0
"""Longest time that an answer waits while one session takes another's place: a reload's, and some more."""
MAX_SUBSCRIPTION_BYTES: Final = 64 * 1024 * 1024
"""Of requests that wait in nats-py; what is beyond is dropped, as NATS does with slow consumers."""

_SHOWN: Final = 100
"""Characters of a reply subject in the log."""


class EpmmpService:
    """Serves the operations on one session after another, or on two while one takes the other's place."""

    def __init__(
        self,
        instance: str,
        queue_group: str,
        outlet: SessionOutlet,
        operations: tuple[Operation, ...],
        budget: Budget,
        on_full: Callable[[], None],
        on_dropped: Callable[[str], None],
    ) -> None:
        """``on_full``: there are too many requests. ``on_dropped``: nothing is done for one, and why."""
        self._instance = instance
        self._queue_group = queue_group
        self._outlet = outlet
        self._codecs = tuple(Codec(operation) for operation in operations)
        self._budget = budget
        self._subscriptions: dict[Client, list[Subscription]] = {}
        self._on_full = on_full
        self._on_dropped = on_dropped
        self._under_way: set[asyncio.Future[Any]] = set()
        self._work = Slice()
        self._repeats = Repeats()

    @property
    def message_types(self) -> tuple[str, ...]:
        """What is served."""
        return tuple(codec.operation.message_type for codec in self._codecs)

    def stats(self) -> dict[str, EndpointStats]:
        """For ``$SRV.STATS``, by endpoint name."""
        return {
            endpoint_name(codec.operation.message_type): EndpointStats(
                codec.counts.requests, codec.counts.errors, codec.counts.nanoseconds
            )
            for codec in self._codecs
        }

    async def attach(self, client: Client) -> None:
        """Takes requests on this client too."""
        for gone in [each for each in self._subscriptions if each.is_closed]:
            del self._subscriptions[gone]
        self._subscriptions[client] = [
            await client.subscribe(
                subjects.targeted(self._instance, subjects.EPMMP, codec.operation.message_type),
                self._queue_group,
                cb=partial(self._on_request, codec),
                pending_msgs_limit=MAX_REQUESTS,
                pending_bytes_limit=MAX_SUBSCRIPTION_BYTES,
            )
            for codec in self._codecs
        ]

    async def leave(self, client: Client, seconds: float) -> None:
        """Takes no more requests on this client; those that were sent to it are under way."""
        subscriptions = self._subscriptions.pop(client, [])
        if not client.is_connected:
            return
        try:
            await stop_subscriptions(client, subscriptions, seconds=seconds)
        except (nats_errors.Error, OSError) as error:
            _log.warning("nats connection lost while draining", error=str(error))

    async def stop(self, seconds: float) -> None:
        """Takes no more requests and ends those under way."""
        for client in list(self._subscriptions):
            await self.leave(client, seconds)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        # An answer that waits for a session comes behind its request.
        while self._under_way and (left := deadline - loop.time()) > 0:
            await asyncio.wait(set(self._under_way), timeout=left)

    async def _on_request(self, codec: Codec, msg: Msg) -> None:
        codec.counts.requests += 1
        # A chunk from the server brings thousands.
        await self._work.give_way()
        if not may_answer_to(msg.reply):
            self._leave_alone(codec, msg)
            return
        try:
            if len(self._under_way) >= MAX_REQUESTS:
                self._on_full()
                raise Unavailable("Too many requests are waiting", Stored.NO)
            self._budget.take(len(msg.data))
        except Unavailable as busy:
            self._send(msg.reply, codec.refused(UNREAD, msg.data, busy.status, busy.message()))
            return
        self._begin(_Call(codec, msg.reply, msg.data, perf_counter_ns()))

    def _leave_alone(self, codec: Codec, msg: Msg) -> None:
        """Nothing is done for whoever cannot be told what came of it."""
        self._on_dropped("bad_reply" if msg.reply else "no_reply")
        if msg.reply:
            message_type = codec.operation.message_type
            self._repeats.warning(
                _log,
                "a request names a reply subject that answers do not go to",
                type=message_type,
                reply=msg.reply[:_SHOWN],
            )

    def _begin(self, call: _Call) -> None:
        codec = call.codec
        try:
            call.request = request = codec.decode(call.payload)
            if _expired(request):
                self._on_dropped("expired")
                self._budget.give(len(call.payload))
                return
            work = asyncio.ensure_future(codec.operation.begin(request))
        except Exception as error:  # noqa: BLE001 - the outermost boundary of a request: it is answered whatever happens
            self._finish(call, self._answer(call, error))
        else:
            self._follow(work, lambda done: self._finish(call, self._answer(call, done.exception())), call)

    def _follow(
        self, work: asyncio.Future[Any], then: Callable[[asyncio.Future[Any]], None], call: _Call
    ) -> None:
        """What is under way counts, and is waited for in the end."""

        def ended(done: asyncio.Future[Any]) -> None:
            self._under_way.discard(done)
            if done.cancelled():
                self._budget.give(len(call.payload))
            else:
                then(done)

        self._under_way.add(work)
        work.add_done_callback(ended)

    def _answer(self, call: _Call, error: BaseException | None) -> bytes:
        if error is None:
            answer = call.codec.answer(call.request)
            limit = self._outlet.max_payload
            if limit is None or len(answer) <= limit:
                return answer
            error = TooLarge("answer", "exceeds the maximum NATS payload")
        if isinstance(error, Refusal):
            return call.codec.refused(call.request, call.payload, error.status, error.message())
        correlation_id = call.request["correlationId"]
        _log.error("a request met a bug", correlation_id=correlation_id, exc_info=error)
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return call.codec.refused(call.request, call.payload, status, "Internal server error")

    def _finish(self, call: _Call, answer: bytes) -> None:
        call.codec.counts.nanoseconds += perf_counter_ns() - call.begun
        if self._outlet.is_attached:
            self._budget.give(len(call.payload))
            self._send(call.reply, answer)
            return
        # Between two sessions nobody would take it.
        waiting = asyncio.ensure_future(self._outlet.attached(HANDOVER_SECONDS))

        def attached(_done: asyncio.Future[None]) -> None:
            self._budget.give(len(call.payload))
            self._send(call.reply, answer)

        self._follow(waiting, attached, call)

    def _send(self, subject: str, payload: bytes) -> None:
        try:
            self._outlet.reply(subject, payload)
        except PublishFailed as error:
            # The client asks again: there is no guarantee that answers arrive (19/EPMMP).
            _log.info("an answer could not be sent", error=str(error))


@dataclass(slots=True)
class _Call:
    """A request on its way."""

    codec: Codec
    reply: str
    payload: bytes
    begun: int
    request: Mapping[str, Any] = field(default_factory=lambda: UNREAD)


def _expired(request: Mapping[str, Any]) -> bool:
    timeout: int = request["timeout"]
    return timeout > 0 and request["timestamp"] + timeout < wall_ms()
