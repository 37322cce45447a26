"""19/EPMMP beside the get: metadata patch, key update, key batch update, keys get, application versions.

Ordinary subscriptions of nats-py on the session's client. A request becomes a task, so that many are under
way at once; the answer is written behind the events of its change, on the same connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from nats import errors as nats_errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from kaa_epr import schemas
from kaa_epr.changes.errors import Invalid, Refusal, TooLarge
from kaa_epr.clock import wall_ms
from kaa_epr.events import subjects
from kaa_epr.events.avro import AvroError, Cursor, Datum, read_long, read_string
from kaa_epr.events.outgoing import write_datum
from kaa_epr.events.publisher import PublishFailed
from kaa_epr.log import correlation, get_logger
from kaa_epr.wire.flushing import stop_subscription
from kaa_epr.wire.outlet import SessionOutlet

_log = get_logger(__name__)

MAX_REQUESTS: Final = 4096
"""Under way at once; a further one is answered 503."""
MAX_ID_BYTES: Final = 4096
"""Of a correlationId and an endpointId: both are echoed, as gets have it."""
MAX_SUBSCRIPTION_BYTES: Final = 64 * 1024 * 1024
"""Of requests that wait in nats-py; what is beyond is dropped, as NATS does with slow consumers."""

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
    empty: Answer | None = None
    """What a refusal holds where the answer has fields of its own."""


class EpmmpService:
    """Serves the operations on one session after another."""

    def __init__(
        self, instance: str, queue_group: str, outlet: SessionOutlet, operations: tuple[Operation, ...]
    ) -> None:
        self._instance = instance
        self._queue_group = queue_group
        self._outlet = outlet
        self._operations = operations
        self._client: Client | None = None
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.unanswerable = 0
        """Requests without a replyTo, or expired on arrival: nothing is done for them."""

    async def attach(self, client: Client) -> None:
        """Subscribes on a new session."""
        self._client = client
        self._subscriptions = [
            await client.subscribe(
                subjects.targeted(self._instance, subjects.EPMMP, operation.message_type),
                self._queue_group,
                cb=partial(self._on_request, _Codec(operation)),
                pending_msgs_limit=MAX_REQUESTS,
                pending_bytes_limit=MAX_SUBSCRIPTION_BYTES,
            )
            for operation in self._operations
        ]

    async def stop(self, seconds: float) -> None:
        """Takes no more requests and ends those under way."""
        client, self._client = self._client, None
        if client is not None and client.is_connected:
            try:
                async with asyncio.timeout(seconds):
                    for subscription in self._subscriptions:
                        await stop_subscription(client, subscription)
            except (nats_errors.Error, OSError, TimeoutError) as error:
                _log.warning("nats connection lost while draining", error=str(error))
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)

    async def _on_request(self, codec: _Codec, msg: Msg) -> None:
        if not msg.reply:
            self.unanswerable += 1
            return
        if len(self._tasks) >= MAX_REQUESTS:
            busy = _TooManyRequests()
            self._reply(msg.reply, codec.refused(_UNREAD, msg.data, busy.status, busy.message()))
            return
        task = asyncio.get_running_loop().create_task(self._serve(codec, msg.reply, msg.data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, codec: _Codec, reply: str, payload: bytes) -> None:
        request = _UNREAD
        try:
            request = codec.decode(payload)
            if _expired(request):
                self.unanswerable += 1
                return
            with correlation(request["correlationId"]):
                answer = codec.answer(request, await codec.operation.handle(request))
            limit = self._outlet.max_payload
            if limit is not None and len(answer) > limit:
                raise TooLarge("answer", "exceeds the maximum NATS payload")
        except Refusal as refusal:
            answer = codec.refused(request, payload, refusal.status, refusal.message())
        except Exception:  # noqa: BLE001 - the outermost boundary of a request: it is answered whatever happens
            _log.exception("a request met a bug", correlation_id=request["correlationId"])
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            answer = codec.refused(request, payload, status, "Internal server error")
        self._reply(reply, answer)

    def _reply(self, subject: str, payload: bytes) -> None:
        try:
            self._outlet.reply(subject, payload)
        except PublishFailed as error:
            # The client asks again: there is no guarantee that answers arrive (19/EPMMP).
            _log.info("an answer could not be sent", error=str(error))


_UNREAD: Final[Mapping[str, Any]] = {"correlationId": ""}
"""Stands for a request that is not decoded."""


class _TooManyRequests(Refusal):
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def message(self) -> str:
        """As the responder says it."""
        return "Too many requests are waiting"


def _expired(request: Mapping[str, Any]) -> bool:
    timeout: int = request["timeout"]
    return timeout > 0 and request["timestamp"] + timeout < wall_ms()


class _Codec:
    """Bytes to requests and answers to bytes, for one operation."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
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
        known: dict[str, Any] = {"correlationId": "", "endpointId": "", "endpointIds": []}
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
        known = self._partly(payload) if request is _UNREAD else request
        return self._encode(known, status, reason, self.operation.empty or {})

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
