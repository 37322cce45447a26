"""The metadata of one endpoint: all of it, single keys, the names of the keys."""

from __future__ import annotations

from kaa_epr.refusals import Invalid, KeyUnknown
from kaa_epr.register.decide.json_patch import parse
from kaa_epr.register.intake.commands import DeleteKey, PatchMetadata, PutKeys, ReplaceMetadata
from kaa_epr.register.rest.call import Backend, Call, read_reply
from kaa_epr.register.rest.http import Reply, empty


async def get_metadata(backend: Backend, call: Call) -> Reply:
    """``GET …/metadata``."""
    state = await backend.endpoints.read(call.endpoint_id)
    wanted = set(call.query["include"] or state.metadata)
    body = {key: value for key, value in state.metadata.items() if key in wanted}
    return read_reply(call, state, body)


async def put_metadata(backend: Backend, call: Call) -> Reply:
    """``PUT …/metadata``."""
    body = await backend.reading.value(call.content, "body", prefix="metadata", envelope=1)
    if body.kind != "object":
        raise Invalid("body", "must be a JSON object")
    metadata = body.python()
    backend.rules.check_metadata(metadata)
    state = (await backend.change(call, ReplaceMetadata(metadata))).state
    return Reply(body=dict(state.metadata), etag=state.etag)


async def patch_metadata(backend: Backend, call: Call) -> Reply:
    """``PATCH …/metadata``."""
    patch = await backend.reading.value(call.content, "body", prefix="patch", envelope=2)
    operations = parse(patch.python())
    for index, operation in enumerate(operations):
        backend.rules.check_value(f"patch[{index}].value", operation.value)
    state = (await backend.change(call, PatchMetadata(operations))).state
    return Reply(body=dict(state.metadata), etag=state.etag)


async def get_key(backend: Backend, call: Call) -> Reply:
    """``GET …/metadata/{metadataKey}``."""
    key = call.metadata_key
    state = await backend.endpoints.read(call.endpoint_id)
    if key not in state.metadata:
        raise KeyUnknown(key)
    return read_reply(call, state, state.metadata[key])


async def put_key(backend: Backend, call: Call) -> Reply:
    """``PUT …/metadata/{metadataKey}``."""
    key = call.metadata_key
    value = (await backend.reading.value(call.content, "body", prefix=f"metadata.{key}")).python()
    backend.rules.check_metadata({key: value})
    state = (await backend.change(call, PutKeys({key: value}), key)).state
    return Reply(body=state.metadata[key], etag=state.etag)


async def delete_key(backend: Backend, call: Call) -> Reply:
    """``DELETE …/metadata/{metadataKey}``."""
    key = call.metadata_key
    outcome = await backend.change(call, DeleteKey(key), key)
    return empty(etag=outcome.state.etag)


async def list_keys(backend: Backend, call: Call) -> Reply:
    """``GET …/metadata-keys``."""
    state = await backend.endpoints.read(call.endpoint_id)
    return read_reply(call, state, list(state.metadata))
