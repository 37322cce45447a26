"""The table of operations: what is routed, what a token must allow, and what OpenAPI tells of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from kaa_epr.register.rest import query
from kaa_epr.register.rest.call import Backend, Call
from kaa_epr.register.rest.handlers import batches, endpoints, lists, metadata
from kaa_epr.register.rest.http import JSON, JSON_PATCH, Reply
from kaa_epr.register.rest.query import Parameter

Handle = Callable[[Backend, Call], Awaitable[Reply]]

READ: Final = "endpoint:read"
UPDATE: Final = "endpoint:update"
DELETE: Final = "endpoint:delete"
CREATE: Final = "application:endpoint:create"
READ_KEYS: Final = "application:endpoints-metadata-keys:read"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path. Schemas are names below ``#/components/schemas``."""

    method: str
    path: str
    name: str
    summary: str
    scope: str
    handle: Handle
    query: tuple[Parameter, ...] = ()
    body: str | None = None
    media_type: str = JSON
    large_body: bool = False
    long_read: bool = False
    """Reads for as long as it takes, but not for a client that has gone."""
    success: int = 200
    answer: str | None = None
    conditional: bool = False
    """Takes If-Match and If-None-Match, and tells the ETag."""
    idempotent: bool = False
    """Takes an Idempotency-Key."""
    body_text: str = "JSON text"
    """What the body is, for whoever sent none, or one of another type."""
    refusals: tuple[int, ...] = ()
    """Statuses of its own, beside those that every operation may answer."""


_ENDPOINT: Final = "/endpoints/{endpointId}"
_KEY: Final = _ENDPOINT + "/metadata/{metadataKey}"

OPERATIONS: Final = (
    Operation(
        "POST",
        "/endpoints",
        "registerEndpoint",
        "Register an endpoint.",
        CREATE,
        endpoints.register,
        body="Registration",
        success=201,
        answer="RegisteredEndpoint",
        idempotent=True,
        refusals=(403, 409),
    ),
    Operation(
        "GET",
        "/endpoints",
        "listEndpoints",
        "List endpoints, in the order of their IDs.",
        READ,
        lists.list_endpoints,
        query=(
            query.ENDPOINT_ID,
            query.APPLICATION,
            query.APP_VERSION,
            query.METADATA_FILTER,
            query.INCLUDE_METADATA,
            query.OFFSET,
            query.LIMIT,
        ),
        long_read=True,
        answer="EndpointPage",
    ),
    Operation(
        "POST",
        "/endpoints/batch",
        "registerEndpoints",
        "Register up to 1000 endpoints in the background.",
        CREATE,
        batches.register_batch,
        body="BatchRegistration",
        large_body=True,
        success=202,
        idempotent=True,
        answer="TaskReference",
    ),
    Operation(
        "GET",
        "/endpoints/batch/status",
        "getBatchStatus",
        "What came of a batch registration; known for a day after its end.",
        CREATE,
        batches.batch_status,
        query=(query.APP_NAME, query.TASK_ID),
        answer="BatchStatus",
        refusals=(404,),
    ),
    Operation(
        "GET",
        _ENDPOINT,
        "getEndpoint",
        "Show an endpoint.",
        READ,
        endpoints.get_endpoint,
        query=(query.INCLUDE_METADATA,),
        answer="Endpoint",
        conditional=True,
    ),
    Operation(
        "DELETE",
        _ENDPOINT,
        "deleteEndpoint",
        "Unregister an endpoint.",
        DELETE,
        endpoints.delete_endpoint,
        success=204,
        conditional=True,
    ),
    Operation(
        "GET",
        _ENDPOINT + "/app-version",
        "getAppVersion",
        "The application version of an endpoint.",
        READ,
        endpoints.get_app_version,
        answer="AppVersion",
        conditional=True,
    ),
    Operation(
        "PUT",
        _ENDPOINT + "/app-version",
        "putAppVersion",
        "Move an endpoint to another application version.",
        UPDATE,
        endpoints.put_app_version,
        body="AppVersionName",
        answer="AppVersion",
        conditional=True,
        refusals=(409,),
    ),
    Operation(
        "GET",
        _ENDPOINT + "/metadata",
        "getMetadata",
        "The metadata of an endpoint, all or some keys.",
        READ,
        metadata.get_metadata,
        query=(query.INCLUDE_KEYS,),
        answer="Metadata",
        conditional=True,
    ),
    Operation(
        "PUT",
        _ENDPOINT + "/metadata",
        "putMetadata",
        "Replace the metadata of an endpoint.",
        UPDATE,
        metadata.put_metadata,
        body="Metadata",
        answer="Metadata",
        conditional=True,
        refusals=(403,),
    ),
    Operation(
        "PATCH",
        _ENDPOINT + "/metadata",
        "patchMetadata",
        "Change the metadata of an endpoint by a JSON Patch (RFC 6902).",
        UPDATE,
        metadata.patch_metadata,
        body="JsonPatch",
        media_type=JSON_PATCH,
        body_text="a JSON Patch",
        answer="Metadata",
        conditional=True,
        refusals=(403, 409),
    ),
    Operation(
        "GET",
        _KEY,
        "getMetadataKey",
        "The value of one metadata key.",
        READ,
        metadata.get_key,
        answer="StoredValue",
        conditional=True,
    ),
    Operation(
        "PUT",
        _KEY,
        "putMetadataKey",
        "Set one metadata key.",
        UPDATE,
        metadata.put_key,
        body="MetadataValue",
        body_text="the value as JSON text (null for null)",
        answer="StoredValue",
        conditional=True,
        refusals=(403,),
    ),
    Operation(
        "DELETE",
        _KEY,
        "deleteMetadataKey",
        "Remove one metadata key.",
        UPDATE,
        metadata.delete_key,
        success=204,
        conditional=True,
        refusals=(403,),
    ),
    Operation(
        "GET",
        _ENDPOINT + "/metadata-keys",
        "listMetadataKeys",
        "The metadata keys of an endpoint.",
        READ,
        metadata.list_keys,
        answer="KeyList",
        conditional=True,
    ),
    Operation(
        "GET",
        "/applications/{applicationName}/metadata-keys",
        "listApplicationMetadataKeys",
        "The metadata keys in use, by application version.",
        READ_KEYS,
        lists.list_application_keys,
        long_read=True,
        answer="KeysByVersion",
    ),
)
