"""Batch registrations: taken, and asked about."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from kaa_epr.refusals import FieldRefusal, Refusal
from kaa_epr.register.batches.records import NewEndpoint
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.rest.call import Backend, Call
from kaa_epr.register.rest.handlers.endpoints import new_token
from kaa_epr.register.rest.http import Reply
from kaa_epr.register.rest.models import BatchBody, validated
from kaa_epr.slices import Slice


class Task(Refusal):
    """No such batch task."""

    status = HTTPStatus.NOT_FOUND
    text = "Task not found"


async def register_batch(backend: Backend, call: Call) -> Reply:
    """``POST /endpoints/batch``."""
    body = validated(BatchBody, call.body)
    items = []
    work = Slice()
    for index, item in enumerate(body.endpoints):
        await work.give_way()
        _check_item(backend.rules, f"endpoints.{index}", item.metadata)
        endpoint_id = item.endpoint_id or str(uuid.uuid4())
        items.append(NewEndpoint(endpoint_id, item.endpoint_token or new_token(), item.metadata))
    version = body.app_version.name
    application = backend.endpoints.applications.of_version(version)
    task_id = await backend.tasks.accept(application, version, items, call.correlation_id)
    place = backend.place(call, f"endpoints/batch/status?appName={quote(application)}&taskId={task_id}")
    return Reply(HTTPStatus.ACCEPTED, {"taskId": task_id}, headers={"Location": place})


def _check_item(rules: Rules, where: str, metadata: Mapping[str, Any]) -> None:
    try:
        rules.check_metadata(metadata)
    except FieldRefusal as error:
        raise type(error)(f"{where}.{error.field}", error.reason) from None


async def batch_status(backend: Backend, call: Call) -> Reply:
    """``GET /endpoints/batch/status``."""
    status = await backend.tasks.status(call.query["taskId"], call.query["appName"])
    if status is None:
        raise Task
    return Reply(body=status)
