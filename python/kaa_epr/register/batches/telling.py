"""What is told of a task, as JSON text in pieces: how far it is; in the end, what came of each endpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Final

from kaa_epr.register.batches.records import TaskRecord, TaskUnusable, ValueOf
from kaa_epr.slices import Slice

_LARGE: Final = 64 * 1024
"""Bytes of an item that is printed in a thread, so that it does not hold the loop."""
_TEXT_BYTES: Final = 32 * 1024
"""Of JSON that is sent together."""


async def status_text(task: TaskRecord, value_of: ValueOf) -> AsyncIterator[bytes]:
    """As REST shows it; the lists are empty until the task is finished."""
    reasons = {item.position: item.reason for item in task.failed}
    text = bytearray(_counts(task, reasons))
    work = Slice()
    for name, positions in _lists(task, reasons):
        text += b',"%b":[' % name
        for number, position in enumerate(positions):
            await work.give_way()
            text += b"," if number else b""
            text += await _item(task, position, reasons.get(position), value_of)
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


async def _item(task: TaskRecord, position: int, reason: str | None, value_of: ValueOf) -> bytes:
    if task.size(position) < _LARGE:
        return _printed(task, position, reason, value_of)
    return await asyncio.to_thread(_printed, task, position, reason, value_of)


def _printed(task: TaskRecord, position: int, reason: str | None, value_of: ValueOf) -> bytes:
    """One endpoint; of one whose item cannot be read, only why."""
    shown: dict[str, str] = {}
    try:
        item = task.endpoint(position, value_of)
        shown = {"endpointToken": _json(item.endpoint_token), "endpointId": _json(item.endpoint_id)}
        text = item.metadata.text()
        # Of those that failed it is JSON text in a string.
        shown["metadata"] = text if reason is None else _json(text)
    except TaskUnusable as error:
        shown["problem"] = _json(str(error))
    except ValueError:
        shown["problem"] = _json("metadata: it has no JSON form")
    if reason is not None:
        shown |= {"status": _json("FAILED"), "statusReason": _json(reason)}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in shown.items()) + "}").encode()


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
