"""The writes of 19/EPMMP: metadata patch, key update, key batch update.

Ordinary subscriptions of nats-py on the session's client. A request becomes a task, so that many are under
way at once; the answer is written behind the events of its change, on the same connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from time import perf_counter_ns
from typing import Any, Final

from nats import errors as nats_errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from kaa_epr import schemas
from kaa_epr.clock import wall_ms
from kaa_epr.log import Repeats, correlation, get_logger
from kaa_epr.messages import subjects
from kaa_epr.messages.avro import AvroError, Cursor, Datum, read_long, read_string
from kaa_epr.messages.outgoing import write_datum
from kaa_epr.nats.flushing import stop_subscriptions
from kaa_epr.nats.outlet import SessionOutlet
from kaa_epr.nats.publisher import PublishFailed
from kaa_epr.nats.services_api import EndpointStats, endpoint_name
from kaa_epr.refusals import Invalid, Refusal, Stored, TooLarge, Unavailable
from kaa_epr.register.intake.budget import Budget
from kaa_epr.reply import may_answer_to

_log = get_logger(__name__)

MAX_REQUESTS: Final = 4096
"""Under way at once; a further one is answered 503, as is one beyond the budget of bytes."""
HANDOVER_SECONDS: Final = 12.0
"""Longest time that an answer waits while one session takes another's place: a reload's, and some more."""
MAX_ID_BYTES: Final = 4096
"""Of a correlationId and an endpointId: both are echoed, as gets have it."""
MAX_SUBSCRIPTION_BYTES: Final = 64 * 1024 * 1024
"""Of requests that wait in nats-py; what is beyond is dropped, as NATS does with slow consumers."""

_SHOWN: Final = 100
"""Characters of a reply subject in the log."""

Answer = Mapping[str, Any]
"""Fields of the answer beside those that all answers have."""
Handler = Callable[[Mapping[str, Any]], Awaitable[Answer]]
"""Carries out a decoded request, or raises a ``Refusal``."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One request type."""

    message_type: str
    request: str
    response: str
    handle: Handler
    echoes: tuple[str, ...] = ("endpointId",)
    """Fields of the request that the answer repeats."""


@dataclass(slots=True)
class _Counts:
    requests: int = 0
    errors: int = 0
    """Answers other than 200 and 404."""
    nanoseconds: int = 0
    """From taking a request to its answer."""


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
        self._codecs = tuple(_Codec(operation) for operation in operations)
        self._budget = budget
        self._subscriptions: dict[Client, list[Subscription]] = {}
        self._on_full = on_full
        self._on_dropped = on_dropped
        self._tasks: set[asyncio.Task[None]] = set()
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
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)

    async def _on_request(self, codec: _Codec, msg: Msg) -> None:
        codec.counts.requests += 1
        if not may_answer_to(msg.reply):
            self._leave_alone(codec, msg)
            return
        try:
            if len(self._tasks) >= MAX_REQUESTS:
                self._on_full()
                raise Unavailable("Too many requests are waiting", Stored.NO)
            self._budget.take(len(msg.data))
        except Unavailable as busy:
            self._send(msg.reply, codec.refused(_UNREAD, msg.data, busy.status, busy.message()))
            return
        task = asyncio.get_running_loop().create_task(self._serve(codec, msg.reply, msg.data))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, len(msg.data)))

    def _leave_alone(self, codec: _Codec, msg: Msg) -> None:
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

    def _ended(self, size: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._budget.give(size)

    async def _serve(self, codec: _Codec, reply: str, payload: bytes) -> None:
        begun = perf_counter_ns()
        answer = await self._carry_out(codec, payload)
        codec.counts.nanoseconds += perf_counter_ns() - begun
        if answer is None:
            self._on_dropped("expired")
            return
        # Between two sessions nobody would take it.
        await self._outlet.attached(HANDOVER_SECONDS)
        self._send(reply, answer)

    async def _carry_out(self, codec: _Codec, payload: bytes) -> bytes | None:
        """The answer; None to a request that has expired."""
        request = _UNREAD
        try:
            request = codec.decode(payload)
            if _expired(request):
                return None
            with correlation(request["correlationId"]):
                answer = codec.answer(request, await codec.operation.handle(request))
            limit = self._outlet.max_payload
            if limit is not None and len(answer) > limit:
                raise TooLarge("answer", "exceeds the maximum NATS payload")
        except Refusal as refusal:
            return codec.refused(request, payload, refusal.status, refusal.message())
        except Exception:  # noqa: BLE001 - the outermost boundary of a request: it is answered whatever happens
            _log.exception("a request met a bug", correlation_id=request["correlationId"])
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return codec.refused(request, payload, status, "Internal server error")
        return answer

    def _send(self, subject: str, payload: bytes) -> None:
        try:
            self._outlet.reply(subject, payload)
        except PublishFailed as error:
            # The client asks again: there is no guarantee that answers arrive (19/EPMMP).
            _log.info("an answer could not be sent", error=str(error))


_UNREAD: Final[Mapping[str, Any]] = {"correlationId": ""}
"""Stands for a request that is not decoded."""


def _expired(request: Mapping[str, Any]) -> bool:
    timeout: int = request["timeout"]
    return timeout > 0 and request["timestamp"] + timeout < wall_ms()


class _Codec:
    """Bytes to requests and answers to bytes, for one operation."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.counts = _Counts()
        self._request = Datum(schemas.load(operation.request))

    def decode(self, payload: bytes) -> dict[str, Any]:
        """The request. Raises ``Invalid``."""
        try:
            request = self._request.decode(payload)
        except AvroError as error:
            raise _Malformed(str(error)) from None
        for name in ("correlationId", "endpointId"):
            if len(request.get(name, "").encode()) > MAX_ID_BYTES:
                raise _Malformed(f"identifier longer than {MAX_ID_BYTES} bytes")
        return request

    def _partly(self, payload: bytes) -> dict[str, Any]:
        """What may be echoed of a request that perhaps does not decode: as far as it does, else empty."""
        known: dict[str, Any] = {"correlationId": "", "endpointId": ""}
        cursor = Cursor(payload)
        try:
            known["correlationId"] = read_string(cursor)
            if "endpointId" in self.operation.echoes:
                read_long(cursor)
                read_long(cursor)
                known["endpointId"] = read_string(cursor)
        except AvroError:
            # The whole does not decode either, and the answer says so.
            pass
        if max(len(known["correlationId"].encode()), len(known["endpointId"].encode())) > MAX_ID_BYTES:
            return known | {"correlationId": "", "endpointId": ""}
        return known

    def answer(self, request: Mapping[str, Any], fields: Answer) -> bytes:
        """A 200."""
        return self._encode(request, HTTPStatus.OK, None, fields)

    def refused(self, request: Mapping[str, Any], payload: bytes, status: HTTPStatus, reason: str) -> bytes:
        """Anything else; ``request`` may be ``_UNREAD``."""
        self.counts.errors += status is not HTTPStatus.NOT_FOUND
        known = self._partly(payload) if request is _UNREAD else request
        return self._encode(known, status, reason, {})

    def _encode(
        self, request: Mapping[str, Any], status: HTTPStatus, reason: str | None, fields: Answer
    ) -> bytes:
        echoed = {name: request.get(name, "") for name in self.operation.echoes}
        head = {"correlationId": request["correlationId"], "timestamp": wall_ms(), "timeout": 0}
        result = {"statusCode": int(status), "reasonPhrase": reason}
        return write_datum(self.operation.response, {**head, **echoed, **fields, **result})


class _Malformed(Invalid):
    def __init__(self, reason: str) -> None:
        super().__init__("Malformed request", reason)
        self.args = (reason,)
