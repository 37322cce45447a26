"""What a get is answered with (design section 5), as frames for the connection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from kaa_epr.engine.pure.codec import GetRequest, GetResponse, encode_response
from kaa_epr.engine.pure.counters import Counters
from kaa_epr.engine.pure.entry import Entry
from kaa_epr.engine.pure.frames import header_block
from kaa_epr.engine.pure.limits import DEFAULT_MAX_PAYLOAD
from kaa_epr.engine.pure.output import Frame, Output


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
UNUSABLE: Final = Failure(500, "Stored endpoint is unusable")
BUG: Final = Failure(500, "Internal server error")
STORE: Final = Failure(503, "Endpoint store is unavailable")
BUSY: Final = Failure(503, "Too many requests are waiting")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where an answer goes and what it repeats. ``deadline_ms`` is Unix time; None when it has none."""

    reply: bytes
    traceparent: bytes | None
    correlation_id: str
    endpoint_id: str
    revision: int
    deadline_ms: int | None = None


def envelope_of(request: GetRequest, reply: bytes, traceparent: bytes | None) -> Envelope:
    """The envelope of the answer to a request that decoded."""
    return Envelope(
        reply=reply,
        traceparent=traceparent,
        correlation_id=request.correlation_id,
        endpoint_id=request.endpoint_id,
        revision=request.revision,
        deadline_ms=request.deadline(),
    )


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

    def found(self, envelope: Envelope, request: GetRequest, entry: Entry, now: Now) -> None:
        """200 with the metadata that the request names, or 413 when that is too large for the server."""
        response = GetResponse(
            correlation_id=envelope.correlation_id,
            timestamp=now.wall_ms,
            endpoint_id=envelope.endpoint_id,
            status=200,
            etag=entry.etag,
            payload=entry.project(request.include) if request.include_metadata else None,
            app_version=entry.app_version,
        )
        if not self._send(envelope, response, now):
            self.fail(envelope, TOO_LARGE, now)

    def fail(self, envelope: Envelope, failure: Failure, now: Now) -> None:
        """A failure; one that is itself too large for the server repeats nothing of the request."""
        response = GetResponse(
            correlation_id=envelope.correlation_id,
            timestamp=now.wall_ms,
            endpoint_id=envelope.endpoint_id,
            status=failure.status,
            reason=failure.reason,
        )
        if not self._send(envelope, response, now):
            bare = replace(response, correlation_id="", endpoint_id="")
            self._send(replace(envelope, traceparent=None), bare, now)

    def _send(self, envelope: Envelope, response: GetResponse, now: Now) -> bool:
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
        return True
