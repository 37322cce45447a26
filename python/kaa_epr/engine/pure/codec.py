"""19/EPMMP reads and 9/ELCE, 15/EME events through fastavro, by the schemas that the package ships."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

import fastavro

from kaa_epr import schemas
from kaa_epr.engine.api import Kind
from kaa_epr.engine.pure.checked import check_app_versions, check_event, check_get, check_keys_get

_GET: Final = "epmmp/0019-endpoint-metadata-get"


@dataclass(frozen=True, slots=True)
class Request:
    """What all requests have. Times are in milliseconds; ``timestamp`` is Unix time."""

    correlation_id: str
    timestamp: int
    timeout: int

    def deadline(self) -> int | None:
        """When it expires, Unix milliseconds, at most 2^63 - 1; None when never."""
        return min(self.timestamp + self.timeout, (1 << 63) - 1) if self.timeout > 0 else None

    def expired(self, wall_ms: int) -> bool:
        """Whether its time has passed."""
        deadline = self.deadline()
        return deadline is not None and wall_ms > deadline


@dataclass(frozen=True, slots=True)
class GetRequest(Request):
    """A metadata get that decoded."""

    endpoint_id: str
    include: tuple[str, ...]
    include_metadata: bool
    revision: int


@dataclass(frozen=True, slots=True)
class KeysGetRequest(Request):
    """A metadata keys get that decoded."""

    endpoint_id: str


@dataclass(frozen=True, slots=True)
class AppVersionsRequest(Request):
    """A request for the application versions of endpoints that decoded."""

    endpoint_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GetResponse:
    """An answer to a metadata get before encoding.

    All but 200 have a reason, and no payload, eTag and application version.
    """

    correlation_id: str
    timestamp: int
    endpoint_id: str
    status: int
    reason: str | None = None
    etag: str | None = None
    payload: bytes | None = None
    app_version: str | None = None


def decode_get(payload: bytes, plain_revision: int) -> GetRequest:
    """Decodes a get of any revision; ``plain_revision`` is that of one without includeMetadata.

    Raises Malformed.
    """
    revision = 3 if check_get(payload) else plain_revision
    record = _read(payload, _REQUESTS[revision])
    return GetRequest(
        correlation_id=record["correlationId"],
        timestamp=record["timestamp"],
        timeout=record["timeout"],
        endpoint_id=record["endpointId"],
        include=tuple(record["include"]),
        include_metadata=record.get("includeMetadata", True),
        revision=revision,
    )


def decode_keys_get(payload: bytes) -> KeysGetRequest:
    """Decodes a metadata keys get. Raises Malformed."""
    check_keys_get(payload)
    record = _read(payload, _KEYS_REQUEST)
    return KeysGetRequest(
        record["correlationId"], record["timestamp"], record["timeout"], record["endpointId"]
    )


def decode_app_versions(payload: bytes) -> AppVersionsRequest:
    """Decodes a request for application versions. Raises Malformed."""
    check_app_versions(payload)
    record = _read(payload, _VERSIONS_REQUEST)
    ids = tuple(record["endpointIds"])
    return AppVersionsRequest(record["correlationId"], record["timestamp"], record["timeout"], ids)


@dataclass(frozen=True, slots=True)
class KeysGetResponse:
    """An answer to a metadata keys get before encoding."""

    correlation_id: str
    timestamp: int
    endpoint_id: str
    status: int
    reason: str | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AppVersionsResponse:
    """An answer to a request for application versions before encoding."""

    correlation_id: str
    timestamp: int
    endpoint_ids: tuple[str, ...]
    status: int
    reason: str | None = None
    groups: Mapping[str, list[str]] = field(default_factory=dict)
    """Application version -> the endpoints that have it."""


Response = GetResponse | KeysGetResponse | AppVersionsResponse


def encode_response(response: Response, revision: int) -> bytes:
    """Encodes an answer; one to a metadata get in ``revision`` (1 to 3), which decides what is left out."""
    head = {"correlationId": response.correlation_id, "timestamp": response.timestamp, "timeout": 0}
    result = {"statusCode": response.status, "reasonPhrase": response.reason}
    match response:
        case GetResponse():
            return _write(_RESPONSES[revision], head | _metadata_fields(response) | result)
        case KeysGetResponse():
            fields = {"endpointId": response.endpoint_id, "keys": list(response.keys)}
            return _write(_KEYS_RESPONSE, head | fields | result)
        case AppVersionsResponse():
            versions = {
                "endpointIds": list(response.endpoint_ids),
                "appVersionsToEndpoints": dict(response.groups),
            }
            return _write(_VERSIONS_RESPONSE, head | versions | result)


def _metadata_fields(response: GetResponse) -> dict[str, Any]:
    return {
        "endpointId": response.endpoint_id,
        "eTag": response.etag,
        "payload": response.payload,
        "appVersionName": response.app_version,
    }


def _write(schema: schemas.Schema, record: dict[str, Any]) -> bytes:
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, schema, record)
    return buffer.getvalue()


def decode_event(kind: Kind, payload: bytes) -> str:
    """The endpointId of an event; raises DecodeError.

    What follows endpointId is not looked at: an event with a damaged tail still names its endpoint.
    """
    schema = _EVENTS[kind]
    check_event(payload, len(schema["fields"]) - _FIELDS_AROUND)
    endpoint_id: str = _read(payload, schema)["endpointId"]
    return endpoint_id


def _read(payload: bytes, schema: schemas.Schema) -> dict[str, Any]:
    record = fastavro.schemaless_reader(BytesIO(payload), schema, None)
    assert isinstance(record, dict), "a record schema reads dicts"
    return record


def _parsed(name: str) -> schemas.Schema:
    parsed = fastavro.parse_schema(schemas.load(name))
    assert isinstance(parsed, dict), "the schemas are records"
    return parsed


def _up_to_endpoint_id(name: str) -> schemas.Schema:
    """The record ``name`` cut off after endpointId: a reader of its leading bytes."""
    schema = schemas.load(name)
    fields = schema["fields"]
    end = [field["name"] for field in fields].index("endpointId") + 1
    parsed = fastavro.parse_schema({**schema, "fields": fields[:end]})
    assert isinstance(parsed, dict), "the schemas are records"
    return parsed


_FIELDS_AROUND: Final = 4
"""correlationId, timestamp and timeout before the names, endpointId after them."""

_REQUESTS: Final = {revision: _parsed(f"{_GET}-request.rev{revision}") for revision in (1, 2, 3)}
_RESPONSES: Final = {revision: _parsed(f"{_GET}-response.rev{revision}") for revision in (1, 2, 3)}
_KEYS_REQUEST: Final = _parsed("epmmp/0019-endpoint-metadata-keys-get-request")
_KEYS_RESPONSE: Final = _parsed("epmmp/0019-endpoint-metadata-keys-get-response")
_VERSIONS_REQUEST: Final = _parsed("epmmp/0019-endpoints-app-version-request")
_VERSIONS_RESPONSE: Final = _parsed("epmmp/0019-endpoints-app-version-response")
_EVENTS: Final = {
    Kind.METADATA_UPDATED: _up_to_endpoint_id("events/0015-ep-metadata-updated"),
    Kind.REGISTERED: _up_to_endpoint_id("events/0009-ep-registered"),
    Kind.UNREGISTERED: _up_to_endpoint_id("events/0009-ep-unregistered"),
    Kind.APP_VERSION_UPDATED: _up_to_endpoint_id("events/0009-ep-appversion-updated"),
}
