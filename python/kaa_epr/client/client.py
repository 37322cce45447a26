"""An async client of 19/EPMMP metadata gets, for other Python services."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from kaa_epr.client.calls import Call, Calls, Cause, ClientStats, Setback
from kaa_epr.client.codec import MAX_ID_BYTES, Answer, Codec, Request, leading_correlation_id
from kaa_epr.client.connection import Connection, Handlers
from kaa_epr.client.errors import (
    BadRequest,
    ClientClosed,
    GetError,
    NoResponders,
    RepositoryUnavailable,
    RequestTimeout,
    from_status,
)
from kaa_epr.client.options import ClientOptions, check_seconds
from kaa_epr.client.result import EndpointMetadata
from kaa_epr.messages import subjects
from kaa_epr.messages.avro import AvroError

_OWN_ID_BYTES: Final = 64
"""Room in a correlationId for what this client appends to the caller's."""
_STATUS_HEADER: Final = "Status"
_NOBODY: Final = "503"
_OK: Final = 200
_BAD: Final = 400
_DEFAULT_OPTIONS: Final = ClientOptions()


class EpmmpClient:
    """Gets endpoint metadata from a repository over NATS, with the timeout and retry that 19/EPMMP asks for.

    ::

        async with EpmmpClient(servers=["nats://127.0.0.1:4222"]) as client:
            endpoint = await client.get("sample-0001", include=["model"])
            print(endpoint.metadata)

    A get has one deadline. Every attempt carries it (``timestamp`` + ``timeout``), so that the repository
    drops what nobody waits for any more; both sides' clocks should agree to well within the timeout. An
    attempt that meets silence, a 503, nobody who listens, or a lost connection is followed by another after a
    random pause, while attempts and time last. Each has a correlationId of its own that begins with the
    caller's; see ``calls`` for which answers count. Gets only read, so asking twice does no harm.

    Answers come to one subject per client, ``kaa.v1.replica.{replica id}.epmmp.ep-metadata-get-response``
    (3/ISM, session affinity). Safe to share between tasks of one event loop.
    """

    def __init__(
        self,
        nc: NatsClient | None = None,
        *,
        servers: str | Sequence[str] | None = None,
        repository: str = "epr",
        replica_id: str | None = None,
        timeout: float = 5.0,
        attempts: int = 5,
        options: ClientOptions = _DEFAULT_OPTIONS,
    ) -> None:
        """Takes a connection ``nc``, which stays the caller's, or ``servers`` to connect to.

        ``repository`` is the service instance name to ask, ``replica_id`` our own (random when None; it must
        be unique), ``timeout`` the seconds a get may take, ``attempts`` how often it asks at most. Raises
        ValueError, or ``InvalidSubjectToken`` for a name that is not one NATS token.
        """
        if (nc is None) == (servers is None):
            raise ValueError("give either a NATS connection or servers")
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {attempts!r}")
        nonce = secrets.token_hex(8)
        self.replica_id = replica_id if replica_id is not None else f"epmmp-client-{nonce}"
        self._subject = subjects.metadata_get_request(repository)
        self._reply_to = subjects.metadata_get_response(self.replica_id)
        self._timeout = check_seconds("timeout", timeout)
        self._attempts = attempts
        self._options = options
        self._codec = Codec(options.revision)
        self._calls = Calls(options.max_in_flight, nonce)
        source: NatsClient | Sequence[str] = nc or ([servers] if isinstance(servers, str) else servers or ())
        self._connection = Connection(
            source,
            self._reply_to,
            Handlers(self._on_message, self._calls.link_lost),
            connect=options.connect,
            pending=2 * options.max_in_flight * attempts,
        )
        self._closed = False

    async def __aenter__(self) -> Self:
        """Connects and subscribes now, so that a wrong address shows here; a get would do it as well."""
        await self._connection.ready(asyncio.get_running_loop().time() + self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Fails what is in flight with ``ClientClosed`` and ends our connection, or only our subscription."""
        self._closed = True
        self._calls.fail_all("the client")
        await self._connection.close()

    @property
    def stats(self) -> ClientStats:
        """A copy of the counters."""
        return replace(self._calls.stats)

    @property
    def in_flight(self) -> int:
        """Gets that wait for their answer."""
        return len(self._calls)

    async def get(
        self,
        endpoint_id: str,
        include: Iterable[str] = (),
        *,
        include_metadata: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels in the message too
        correlation_id: str | None = None,
    ) -> EndpointMetadata:
        """The metadata of one endpoint: the fields named in ``include`` that exist, or all when it is empty.

        ``timeout``: seconds for all attempts, the client's when None. ``correlation_id``: what the caller's
        own messages carry, to follow the get through the logs of both sides.

        Raises a ``StatusError`` by the answer's status (``EndpointNotFound``, ``BadRequest``,
        ``PayloadTooLarge``, ``RepositoryUnavailable`` and its ``NoResponders``, ``RepositoryError``),
        ``RequestTimeout``, ``ProtocolViolation``, ``ConnectionFailed``, ``TooManyRequests`` or
        ``ClientClosed``.
        """
        if self._closed:
            raise ClientClosed("the client")
        seconds = self._timeout if timeout is None else check_seconds("timeout", timeout)
        request = self._request(endpoint_id, include, include_metadata, correlation_id)
        call = self._calls.open(endpoint_id, correlation_id)
        try:
            answer = await self._ask(call, request, seconds)
        finally:
            self._calls.close(call)
        if answer.status != _OK:
            raise from_status(endpoint_id, call.correlation_id, answer.status, answer.reason)
        return EndpointMetadata(
            endpoint_id, call.correlation_id, answer.payload, answer.etag, answer.app_version_name
        )

    def _request(
        self, endpoint_id: str, include: Iterable[str], include_metadata: bool, correlation_id: str | None
    ) -> Request:
        """Checks what the repository could not even answer."""
        if isinstance(include, str):
            raise TypeError("include takes field names, not one string")
        if not include_metadata and self._options.revision < 3:
            raise ValueError("include_metadata=False needs revision 3")
        root = correlation_id or ""
        try:
            longest = max(len(endpoint_id.encode()), len(root.encode()) + _OWN_ID_BYTES)
        except UnicodeEncodeError:
            raise BadRequest("?", "?", _BAD, "an identifier has no UTF-8 form") from None
        if longest > MAX_ID_BYTES:
            raise BadRequest(endpoint_id, root, _BAD, f"identifier longer than {MAX_ID_BYTES} bytes")
        return Request(endpoint_id, tuple(include), include_metadata)

    async def _ask(self, call: Call, request: Request, seconds: float) -> Answer:
        """Attempt after attempt until there is an answer, or raises what the last one came to."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        setback = Setback(Cause.SILENCE)
        for attempt in range(1, self._attempts + 1):
            if attempt > 1:
                until = loop.time() + self._options.pause(attempt - 1)
                if until >= deadline:
                    break
                outcome = await call.pause(until)  # an answer to an earlier attempt may still come
                if isinstance(outcome, Answer):
                    return outcome
            sent = await self._send(call, request, deadline)
            left = deadline - loop.time()
            wait = self._options.patience(left, self._attempts - attempt + 1)
            outcome = await call.wait(loop.time() + wait) if sent else Setback(Cause.LINK_LOST)
            if isinstance(outcome, Answer):
                return outcome
            setback = outcome
            if setback.cause is Cause.UNAVAILABLE and not self._options.retry_unavailable:
                break
        return await self._last_chance(call, setback, deadline, seconds)

    async def _last_chance(self, call: Call, setback: Setback, deadline: float, seconds: float) -> Answer:
        """After the last attempt: a refusal ends the get, silence may still be broken before the deadline."""
        if setback.cause in {Cause.SILENCE, Cause.LINK_LOST}:
            outcome = await call.wait(deadline)
            if isinstance(outcome, Answer):
                return outcome
        raise self._exhausted(call, setback, seconds)

    def _exhausted(self, call: Call, setback: Setback, seconds: float) -> GetError:
        match setback.cause:
            case Cause.UNAVAILABLE:
                return RepositoryUnavailable(call.endpoint_id, call.correlation_id, 503, setback.reason)
            case Cause.NO_RESPONDERS:
                return NoResponders(
                    call.endpoint_id, call.correlation_id, 503, f"nobody listens to {self._subject}"
                )
            case Cause.SILENCE | Cause.LINK_LOST:
                hint = self._connection.refusal()
                return RequestTimeout(call.endpoint_id, call.correlation_id, seconds, call.attempt, hint)

    async def _send(self, call: Call, request: Request, deadline: float) -> bool:
        """Publishes the next attempt; False when the connection would not take it."""
        nc = await self._connection.ready(deadline)
        attempt_id = self._calls.begin_attempt(call)
        left_ms = round((deadline - asyncio.get_running_loop().time()) * 1000)
        try:
            payload = self._codec.encode(request, attempt_id, time.time_ns() // 1_000_000, max(1, left_ms))
        except UnicodeEncodeError:
            raise BadRequest(
                call.endpoint_id, call.correlation_id, _BAD, "a field has no UTF-8 form"
            ) from None
        try:
            await self._publish(nc, payload, deadline)
        except nats.errors.MaxPayloadError:
            limit = f"the request exceeds the server's max_payload of {nc.max_payload} bytes"
            raise BadRequest(call.endpoint_id, call.correlation_id, _BAD, limit) from None
        except nats.errors.ConnectionDrainingError:
            raise ClientClosed("the NATS connection") from None
        except (nats.errors.OutboundBufferLimitError, nats.errors.ConnectionClosedError):
            return False
        return True

    async def _publish(self, nc: NatsClient, payload: bytes, deadline: float) -> None:
        """Publishes by ``deadline``: with a full write buffer nats-py would wait for ten seconds.

        nats-py swallows a cancellation that reaches it while it waits there, so it is looked for and raised.
        """
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        try:
            async with asyncio.timeout_at(deadline):
                await nc.publish(self._subject, payload, reply=self._reply_to)
        except TimeoutError:
            return  # handed to nats-py all the same; the wait for the answer ends at the deadline too
        if task.cancelling() > cancellations:
            raise asyncio.CancelledError

    async def _on_message(self, msg: Msg) -> None:
        if not msg.data and (msg.headers or {}).get(_STATUS_HEADER) == _NOBODY:
            self._calls.no_responders()
            return
        try:
            answer = self._codec.decode(msg.data)
        except AvroError as error:
            self._calls.violate(leading_correlation_id(msg.data), self._violation(msg.data, error))
            return
        asked = self._calls.endpoint_of(answer.correlation_id)
        if asked is not None and answer.endpoint_id != asked and answer.status != _BAD:
            self._calls.violate(answer.correlation_id, "it is about another endpoint")
            return
        self._calls.deliver(answer)

    def _violation(self, payload: bytes, error: AvroError) -> str:
        other = self._codec.other_revision(payload)
        if other is not None:
            return f"it is of revision {other}, not {self._codec.revision} as configured"
        return str(error)
