"""The metadata of one endpoint: all of it, single keys, the names of the keys."""

from __future__ import annotations

from functools import partial

from kaa_epr.refusals import Invalid, KeyUnknown
from kaa_epr.register.decide.api import Show
from kaa_epr.register.rest.call import Backend, Call, read_reply, shown_reply
from kaa_epr.register.rest.http import Reply, empty
from kaa_epr.register.shown import beside


async def get_metadata(backend: Backend, call: Call) -> Reply:
    """``GET …/metadata``."""
    document, view = await backend.endpoints.read(call.endpoint_id)
    text = await beside(document, partial(view.metadata_text, call.query["include"] or None))
    return read_reply(call, view, text)


async def put_metadata(backend: Backend, call: Call) -> Reply:
    """``PUT …/metadata``."""
    body = await backend.reading.value(call.content, "body", prefix="metadata", envelope=1)
    if body.kind != "object":
        raise Invalid("body", "must be a JSON object")
    command = backend.planner.replace_metadata(backend.reading.keys(body))
    return shown_reply(await backend.change(call, command, Show.METADATA))


async def patch_metadata(backend: Backend, call: Call) -> Reply:
    """``PATCH …/metadata``."""
    patch = await backend.reading.value(call.content, "body", prefix="patch", envelope=2)
    return shown_reply(await backend.change(call, backend.planner.patch_metadata(patch), Show.METADATA))


async def get_key(backend: Backend, call: Call) -> Reply:
    """``GET …/metadata/{metadataKey}``."""
    key = call.metadata_key
    document, view = await backend.endpoints.read(call.endpoint_id)
    text = await beside(document, partial(view.key_text, key)) if view.readable else None
    if text is None and view.readable and await beside(document, partial(view.metadata_text, [key])) == b"{}":
        raise KeyUnknown(key)
    return read_reply(call, view, text)


async def put_key(backend: Backend, call: Call) -> Reply:
    """``PUT …/metadata/{metadataKey}``."""
    key = call.metadata_key
    value = await backend.reading.value(call.content, "body", prefix=f"metadata.{key}")
    command = backend.planner.put_keys([(key, value)])
    return shown_reply(await backend.change(call, command, Show.KEY, key))


async def delete_key(backend: Backend, call: Call) -> Reply:
    """``DELETE …/metadata/{metadataKey}``."""
    key = call.metadata_key
    outcome = await backend.change(call, backend.planner.delete_key(key), key=key)
    return empty(etag=outcome.etag)


async def list_keys(backend: Backend, call: Call) -> Reply:
    """``GET …/metadata-keys``."""
    document, view = await backend.endpoints.read(call.endpoint_id)
    return read_reply(call, view, await beside(document, view.keys_text) if view.readable else None)
