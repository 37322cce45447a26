"""Get requests to bytes, bytes to answers, in one revision of 19/EPMMP."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import fastavro

from kaa_epr import schemas
from kaa_epr.messages.avro import AvroError, Cursor, Datum, read_string

MAX_ID_BYTES: Final = 4096
"""A longer correlationId or endpointId is refused with an empty echo, so its answer could not be matched."""

_REQUEST: Final = "epmmp/0019-endpoint-metadata-get-request.rev"
_RESPONSE: Final = "epmmp/0019-endpoint-metadata-get-response.rev"
_REVISIONS: Final = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: fields of the get request that all attempts share."""

    endpoint_id: str
    include: tuple[str, ...]
    include_metadata: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A get response; ``etag`` and ``app_version_name`` are None where the revision has none."""

    correlation_id: str
    endpoint_id: str
    status: int
    reason: str | None
    payload: bytes | None = field(repr=False)
    etag: str | None
    app_version_name: str | None


@cache
def _answer_datum(revision: int) -> Datum:
    return Datum(schemas.load(f"{_RESPONSE}{revision}"))


class Codec:
    """Reads and writes one revision."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self._request = fastavro.parse_schema(schemas.load(f"{_REQUEST}{revision}"))
        self._answer = _answer_datum(revision)

    def encode(self, request: Request, correlation_id: str, timestamp_ms: int, timeout_ms: int) -> bytes:
        """One attempt as a bare datum; UnicodeEncodeError for text without a UTF-8 form."""
        message: dict[str, Any] = {
            "correlationId": correlation_id,
            "timestamp": timestamp_ms,
            "timeout": timeout_ms,
            "endpointId": request.endpoint_id,
            "include": request.include,
        }
        if self.revision >= 3:
            message["includeMetadata"] = request.include_metadata
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, self._request, message)
        return buffer.getvalue()

    def decode(self, payload: bytes) -> Answer:
        """An answer; ``AvroError`` for bytes that are none of this revision."""
        fields = self._answer.decode(payload)
        return Answer(
            correlation_id=fields["correlationId"],
            endpoint_id=fields["endpointId"],
            status=fields["statusCode"],
            reason=fields["reasonPhrase"],
            payload=fields["payload"],
            etag=fields.get("eTag"),
            app_version_name=fields.get("appVersionName"),
        )

    def other_revision(self, payload: bytes) -> int | None:
        """The revision that ``payload`` is an answer of when it is none of ours: a hint for people."""
        for revision in _REVISIONS:
            if revision != self.revision:
                try:
                    _answer_datum(revision).decode(payload)
                except AvroError:
                    continue
                return revision
        return None


def leading_correlation_id(payload: bytes) -> str | None:
    """The correlationId of a message of which no more than that need decode."""
    try:
        return read_string(Cursor(payload))
    except AvroError:
        return None
