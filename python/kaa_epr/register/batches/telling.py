"""What is told of a task: how far it is, and in the end what came of each endpoint."""

from __future__ import annotations

from typing import Any

from kaa_epr.register.batches.records import TaskRecord
from kaa_epr.register.decide.values import text_of
from kaa_epr.slices import Slice


async def status_of(task: TaskRecord) -> dict[str, Any]:
    """As REST shows it; the lists are empty until the task is finished. Raises ``TaskUnusable``."""
    failed = {item.position: item.reason for item in task.failed}
    settled = len(task.items) if task.finished else task.settled
    status: dict[str, Any] = {
        "finished": task.finished,
        "totalCount": len(task.items),
        "createdCount": settled - sum(position < settled for position in failed),
        "failedCount": sum(position < settled for position in failed),
        "created": [],
        "failed": [],
    }
    if not task.finished:
        return status
    work = Slice()
    for position in range(len(task.items)):
        await work.give_way()
        item = task.endpoint(position)
        shown = {"endpointToken": item.endpoint_token, "endpointId": item.endpoint_id}
        if position not in failed:
            status["created"].append({**shown, "metadata": item.metadata})
        else:
            reason = {"status": "FAILED", "statusReason": failed[position]}
            status["failed"].append({**shown, "metadata": text_of(item.metadata), **reason})
    return status
