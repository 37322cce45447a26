"""What is asked of many endpoints at once: pages of them, and the keys in use."""

from __future__ import annotations

from typing import Final

from kaa_epr.mongo.errors import StoreError
from kaa_epr.mongo.register_api import EndpointQuery
from kaa_epr.register.keys import keys_text, read_pairs
from kaa_epr.register.lists import Range
from kaa_epr.register.rest.call import Backend, Call
from kaa_epr.register.rest.http import Reply

INCOMPLETE: Final = "Kaa-Epr-Incomplete"
"""Header of an answer that leaves something out which cannot be read."""


async def list_endpoints(backend: Backend, call: Call) -> Reply:
    """``GET /endpoints``."""
    query = EndpointQuery(
        call.query["endpointId"],
        call.query["applicationName"],
        call.query["applicationVersionName"],
        call.query["metadataFilter"] or {},
    )
    part = Range(call.query["offset"], call.query["limit"], call.query["include"] == "metadata")
    return Reply(pieces=await backend.pages.page(query, part))


async def list_application_keys(backend: Backend, call: Call) -> Reply:
    """``GET /applications/{applicationName}/metadata-keys``."""
    application = call.path["applicationName"]
    try:
        groups = await backend.endpoints.store.metadata_keys(application, backend.seconds)
    except StoreError as error:
        raise backend.pages.unavailable(error) from None
    pairs, problem = await read_pairs(groups)
    if problem:
        backend.pages.tell_of(application)
    return Reply(pieces=keys_text(pairs), headers={INCOMPLETE: "true"} if problem else {})
