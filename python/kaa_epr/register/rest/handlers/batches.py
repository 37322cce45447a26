"""Batch registrations: taken, and asked about."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from kaa_epr.refusals import FieldRefusal, Invalid, Refusal
from kaa_epr.register.batches.records import NewEndpoint
from kaa_epr.register.endpoints import Registration
from kaa_epr.register.intake.api import Value
from kaa_epr.register.rest.call import Backend, Call
from kaa_epr.register.rest.handlers.endpoints import new_token
from kaa_epr.register.rest.http import Reply, replay_header
from kaa_epr.register.rest.models import (
    MAX_ENDPOINTS,
    BatchBody,
    BatchItem,
    fields_of,
    members_of,
    plain,
    validated,
)
from kaa_epr.slices import Slice


class Task(Refusal):
    """No such batch task."""

    status = HTTPStatus.NOT_FOUND
    text = "Task not found"


async def register_batch(backend: Backend, call: Call) -> Reply:
    """``POST /endpoints/batch``."""
    sent = await backend.reading.value(call.content, "body", prefix="", envelope=4, is_batch=True)
    body = validated(BatchBody, _without_items(sent))
    version = body.app_version.name
    items = []
    work = Slice()
    for index, item_sent in enumerate(body.endpoints):
        await work.give_way()
        where = f"endpoints.{index}"
        item = validated(BatchItem, fields_of(item_sent, where), where)
        _check_item(backend, where, version, item.metadata)
        endpoint_id = item.endpoint_id or str(uuid.uuid4())
        items.append(NewEndpoint(endpoint_id, item.endpoint_token or new_token(), item.metadata))
    application = backend.endpoints.applications.of_version(version)
    keyed = call.keyed("batch")
    if keyed is None:
        task_id = await backend.tasks.accept(application, version, items, call.correlation_id)
        replayed = False
    else:
        task_id, replayed = await backend.once.accept(keyed, application, version, items, call.correlation_id)
    place = backend.place(call, f"endpoints/batch/status?appName={quote(application)}&taskId={task_id}")
    headers = {"Location": place, **replay_header(replayed)}
    return Reply(HTTPStatus.ACCEPTED, {"taskId": task_id}, headers=headers)


def _without_items(sent: Value) -> Any:
    """The batch as Python objects, but for its endpoints, of which there may be much."""
    return {
        name: _endpoints(field) if name == "endpoints" else plain(name, field)
        for name, field in members_of(sent)
    }


def _endpoints(field: Value) -> Any:
    if field.kind != "array":
        return plain("endpoints", field)
    if field.count > MAX_ENDPOINTS:
        raise Invalid("endpoints", "has too many elements")
    return list(field.elements())


def _check_item(backend: Backend, where: str, version: str, metadata: Value) -> None:
    try:
        new = Registration("", version, "", backend.reading.keys(metadata))
        backend.planner.check(new.command(backend.planner))
    except FieldRefusal as error:
        raise type(error)(f"{where}.{error.field}", error.reason) from None


async def batch_status(backend: Backend, call: Call) -> Reply:
    """``GET /endpoints/batch/status``."""
    status = await backend.tasks.status(call.query["taskId"], call.query["appName"])
    if status is None:
        raise Task
    return Reply(pieces=status)
