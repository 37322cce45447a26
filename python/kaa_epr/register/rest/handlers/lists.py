"""What is asked of many endpoints at once: pages of them, and the keys in use."""

from __future__ import annotations

from kaa_epr.mongo.errors import StoreError
from kaa_epr.mongo.register_api import EndpointQuery
from kaa_epr.mongo.transfer.planning import split
from kaa_epr.refusals import store_unavailable
from kaa_epr.register.decide.state import decode_state
from kaa_epr.register.rest.call import Backend, Call
from kaa_epr.register.rest.http import Reply
from kaa_epr.register.rest.shown import shown


async def list_endpoints(backend: Backend, call: Call) -> Reply:
    """``GET /endpoints``."""
    query = EndpointQuery(
        call.query["endpointId"],
        call.query["applicationName"],
        call.query["applicationVersionName"],
        call.query["metadataFilter"] or {},
    )
    with_metadata = call.query["include"] == "metadata"
    store = backend.endpoints.store
    try:
        page = await store.find_endpoints(
            query,
            offset=call.query["offset"],
            limit=call.query["limit"],
            with_metadata=with_metadata,
            time_limit=backend.seconds,
        )
        total = await store.count_endpoints(query, backend.seconds)
    except StoreError:
        raise store_unavailable() from None
    content = [shown(decode_state(raw), with_metadata=with_metadata) for raw in split(page)]
    return Reply(body={"content": content, "totalElements": total})


async def list_application_keys(backend: Backend, call: Call) -> Reply:
    """``GET /applications/{applicationName}/metadata-keys``."""
    try:
        keys = await backend.endpoints.store.metadata_keys(call.path["applicationName"], backend.seconds)
    except StoreError:
        raise store_unavailable() from None
    return Reply(body=keys)
