"""What is told of a task, as JSON text in pieces: how far it is; in the end, what came of each endpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from kaa_epr.refusals import Invalid
from kaa_epr.register.batches.records import TaskRecord, TaskUnusable
from kaa_epr.register.decide.values import text_of
from kaa_epr.slices import Slice

_LARGE: Final = 64 * 1024
"""Bytes of an item that is printed in a thread, so that it does not hold the loop."""
_TEXT_BYTES: Final = 32 * 1024
"""Of JSON that is sent together."""


async def status_text(task: TaskRecord) -> AsyncIterator[bytes]:
    """As REST shows it; the lists are empty until the task is finished."""
    reasons = {item.position: item.reason for item in task.failed}
    text = bytearray(_counts(task, reasons))
    work = Slice()
    for name, positions in _lists(task, reasons):
        text += b',"%b":[' % name
        for number, position in enumerate(positions):
            await work.give_way()
            text += b"," if number else b""
            text += await _item(task, position, reasons.get(position))
            if len(text) >= _TEXT_BYTES:
                yield bytes(text)
                text.clear()
        text += b"]"
    yield bytes(text) + b"}"


def _counts(task: TaskRecord, reasons: dict[int, str]) -> bytes:
    settled = len(task.items) if task.finished else task.settled
    failed = sum(position < settled for position in reasons)
    counts = {
        "finished": task.finished,
        "totalCount": len(task.items),
        "createdCount": settled - failed,
        "failedCount": failed,
    }
    return json.dumps(counts, separators=(",", ":")).encode()[:-1]


def _lists(task: TaskRecord, reasons: dict[int, str]) -> Iterator[tuple[bytes, list[int]]]:
    told = range(len(task.items)) if task.finished else range(0)
    yield b"created", [position for position in told if position not in reasons]
    yield b"failed", [position for position in told if position in reasons]


async def _item(task: TaskRecord, position: int, reason: str | None) -> bytes:
    if task.size(position) < _LARGE:
        return _printed(task, position, reason)
    return await asyncio.to_thread(_printed, task, position, reason)


def _printed(task: TaskRecord, position: int, reason: str | None) -> bytes:
    """One endpoint; of one whose item cannot be read, only why."""
    shown: dict[str, Any] = {}
    try:
        item = task.endpoint(position)
        shown = {"endpointToken": item.endpoint_token, "endpointId": item.endpoint_id}
        # Of those that failed it is JSON text in a string.
        shown["metadata"] = item.metadata if reason is None else text_of(item.metadata)
    except (TaskUnusable, Invalid) as error:
        shown["problem"] = str(error)
    if reason is not None:
        shown |= {"status": "FAILED", "statusReason": reason}
    return text_of(shown).encode()
