"""What a request is answered with (README, "What a get is answered with"), as frames for the connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from kaa_epr.engine.api import Kind
from kaa_epr.engine.pure.codec import (
    AppVersionsRequest,
    AppVersionsResponse,
    GetRequest,
    GetResponse,
    KeysGetRequest,
    KeysGetResponse,
    Request,
    Response,
    encode_response,
)
from kaa_epr.engine.pure.counters import Counters
from kaa_epr.engine.pure.entry import Entry
from kaa_epr.engine.pure.frames import header_block
from kaa_epr.engine.pure.limits import DEFAULT_MAX_PAYLOAD
from kaa_epr.engine.pure.output import Frame, Output
from kaa_epr.engine.pure.park import Waiter


class Now(NamedTuple):
    """The two clocks, read by the shell: Unix and monotonic milliseconds."""

    wall_ms: int
    mono_ms: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A status other than 200 and its reasonPhrase (ARCHITECTURE.md, "Reason phrases")."""

    status: int
    reason: str


NOT_FOUND: Final = Failure(404, "Endpoint not found")
TOO_LARGE: Final = Failure(413, "Metadata exceeds the maximum NATS payload")
ANSWER_TOO_LARGE: Final = Failure(413, "Answer exceeds the maximum NATS payload")
UNUSABLE: Final = Failure(500, "Stored endpoint is unusable")
BUG: Final = Failure(500, "Internal server error")
STORE: Final = Failure(503, "Endpoint store is unavailable")
BUSY: Final = Failure(503, "Too many requests are waiting")


Outcome = Entry | Mapping[str, list[str]] | Failure
"""What a request is answered with: an endpoint, application versions with their endpoints, or a refusal."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where an answer goes and what it repeats. ``deadline_ms`` is Unix time; None when it has none."""

    reply: bytes
    traceparent: bytes | None
    correlation_id: str
    kind: Kind = Kind.GET
    """What was asked for."""
    endpoint_id: str = ""
    endpoint_ids: tuple[str, ...] = ()
    revision: int = 3
    """Of a metadata get."""
    deadline_ms: int | None = None

    def bare(self) -> Envelope:
        """The same, repeating nothing."""
        return replace(self, traceparent=None, correlation_id="", endpoint_id="", endpoint_ids=())


def envelope_of(waiter: Waiter) -> Envelope:
    """The envelope of the answer to a request that decoded."""
    request = waiter.request
    envelope = Envelope(
        reply=waiter.reply,
        traceparent=waiter.traceparent,
        correlation_id=request.correlation_id,
        deadline_ms=request.deadline(),
    )
    match request:
        case GetRequest():
            return replace(envelope, endpoint_id=request.endpoint_id, revision=request.revision)
        case KeysGetRequest():
            return replace(envelope, kind=Kind.KEYS_GET, endpoint_id=request.endpoint_id)
        case AppVersionsRequest():
            return replace(envelope, kind=Kind.APP_VERSIONS, endpoint_ids=request.endpoint_ids)


class Desk:
    """Makes answers, within what the connection's server takes, and counts them."""

    def __init__(self, output: Output, counters: Counters) -> None:
        self._output = output
        self._counters = counters
        self._max_payload = DEFAULT_MAX_PAYLOAD
        self._headers = False

    def link_up(self, *, max_payload: int, headers: bool) -> None:
        """From now on answers are for this server."""
        self._max_payload = max_payload
        self._headers = headers

    def answer(self, waiter: Waiter, outcome: Outcome, now: Now) -> None:
        """200 with what was asked for, 413 when that is too large for the server, or a failure."""
        envelope = envelope_of(waiter)
        if isinstance(outcome, Failure):
            self.fail(envelope, outcome, now)
        elif not self._send(envelope, _found(waiter.request, outcome, now), now):
            self.fail(envelope, TOO_LARGE if envelope.kind is Kind.GET else ANSWER_TOO_LARGE, now)

    def fail(self, envelope: Envelope, failure: Failure, now: Now) -> None:
        """A failure; one that is itself too large for the server repeats nothing of the request."""
        if not self._send(envelope, _refusal(envelope, failure, now), now):
            bare = envelope.bare()
            self._send(bare, _refusal(bare, failure, now), now)

    def _send(self, envelope: Envelope, response: Response, now: Now) -> bool:
        """Makes the frame unless it is larger than the server takes."""
        frame = Frame(
            subject=envelope.reply,
            headers=header_block(envelope.traceparent if self._headers else None),
            payload=encode_response(response, envelope.revision),
            deadline_ms=envelope.deadline_ms,
        )
        if frame.total > self._max_payload:
            return False
        self._output.add(frame, now.mono_ms)
        self._counters.add(f"answers_{response.status}")
        if response.status not in (200, 404) and envelope.kind is not Kind.GET:
            self._counters.add(f"errors_{envelope.kind.name.lower()}")
        return True


def _found(request: Request, found: Entry | Mapping[str, list[str]], now: Now) -> Response:
    """The answer 200."""
    correlation_id, timestamp = request.correlation_id, now.wall_ms
    if isinstance(found, Entry):
        if isinstance(request, KeysGetRequest):
            return KeysGetResponse(
                correlation_id, timestamp, request.endpoint_id, status=200, keys=found.keys
            )
        assert isinstance(request, GetRequest), "an endpoint answers requests about one endpoint"
        return GetResponse(
            correlation_id,
            timestamp,
            request.endpoint_id,
            status=200,
            etag=found.etag,
            payload=found.project(request.include) if request.include_metadata else None,
            app_version=found.app_version,
        )
    assert isinstance(request, AppVersionsRequest), "application versions answer requests for them"
    return AppVersionsResponse(correlation_id, timestamp, request.endpoint_ids, status=200, groups=found)


def _refusal(envelope: Envelope, failure: Failure, now: Now) -> Response:
    """Any other answer."""
    correlation_id, timestamp = envelope.correlation_id, now.wall_ms
    status, reason = failure.status, failure.reason
    match envelope.kind:
        case Kind.KEYS_GET:
            return KeysGetResponse(correlation_id, timestamp, envelope.endpoint_id, status, reason)
        case Kind.APP_VERSIONS:
            return AppVersionsResponse(correlation_id, timestamp, envelope.endpoint_ids, status, reason)
        case _:
            return GetResponse(correlation_id, timestamp, envelope.endpoint_id, status, reason)
