"""Imports JSON lines: batch by batch, each document checked first and written atomically, resumable.

Who writes a batch is the caller's choice (``kaa_epr.register.importing``): documents that say already what
their line says are left alone, so importing again changes no version. Changed ones get the next version.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kaa_epr.mongo.api import Store
from kaa_epr.mongo.indexes import ensure_indexes
from kaa_epr.mongo.transfer.resume import Position, default_state_path, load_position, save_position
from kaa_epr.mongo.transfer.source import BadLine, Batch, Source


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Limits of an import. A batch ends when it reaches either of its bounds."""

    batch_lines: int = 500
    batch_bytes: int = 8 * 1024 * 1024
    state_path: Path | None = None
    """Where the resume point is kept; default: ``FILE.import-state`` beside the file."""


class ImportProgress(NamedTuple):
    """Where an import stands; the counts begin at the file's first line, resumed or not."""

    bytes_done: int
    bytes_total: int
    lines: int
    created: int
    changed: int
    unchanged: int
    bad: int
    resumed_behind: int
    """The lines that an earlier import of the same file had done."""


@dataclass(slots=True)
class BatchOutcome:
    """What came of one batch."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: int = 0
    bad: list[BadLine] = field(default_factory=list)

    def written(self, endpoint_id: str, *, created: bool) -> None:
        """One more that the majority has."""
        (self.created if created else self.changed).append(endpoint_id)


WriteBatch = Callable[[Batch], Awaitable[BatchOutcome]]


async def import_endpoints(
    path: Path,
    store: Store,
    write_batch: WriteBatch,
    *,
    options: ImportOptions | None = None,
    on_progress: Callable[[ImportProgress], None] | None = None,
    on_bad_line: Callable[[BadLine], None] | None = None,
    on_written: Callable[[Sequence[str]], Awaitable[None]] | None = None,
) -> ImportProgress:
    """Imports the file and returns the final counts; bad lines are reported and left out.

    ``write_batch`` returns once the majority has what it wrote.
    ``on_written`` is awaited with the ids of created and changed endpoints once the majority has them. An
    import that was stopped or killed goes on behind the last acknowledged batch when it is begun again with
    the same file and store; the ids of a batch that was written but not yet noted are not told twice.

    Raises ``ForeignCollection``, ``IndexConflict``, ``StateUnusable``, ``OSError`` for the files, or what the
    store raises; all but the first lines up to then are imported, and a further import goes on there.
    """
    options = options or ImportOptions()
    await ensure_indexes(store)
    state_path = options.state_path or default_state_path(path)
    file = await asyncio.to_thread(path.open, "rb")
    try:
        position = await asyncio.to_thread(load_position, state_path, file, store.identity)
        report = _Report(os.fstat(file.fileno()).st_size, position.lines, on_progress)
        report.progress(position)
        source = Source(file, position.offset, position.lines, options.batch_lines, options.batch_bytes)
        while (batch := await asyncio.to_thread(source.next_batch)) is not None:
            outcome = await write_batch(batch)
            if on_bad_line is not None:
                for bad in sorted(outcome.bad):
                    on_bad_line(bad)
            if on_written is not None and (ids := outcome.created + outcome.changed):
                await on_written(ids)
            position = _advance(position, batch, outcome)
            await asyncio.to_thread(save_position, state_path, position, file, store.identity)
            report.progress(position)
        await asyncio.to_thread(state_path.unlink, missing_ok=True)
    finally:
        file.close()
    return report.progress(position)


class _Report:
    def __init__(
        self, total: int, resumed_behind: int, tell: Callable[[ImportProgress], None] | None
    ) -> None:
        self._total = total
        self._resumed_behind = resumed_behind
        self._tell = tell

    def progress(self, position: Position) -> ImportProgress:
        progress = ImportProgress(
            bytes_done=position.offset,
            bytes_total=self._total,
            lines=position.lines,
            created=position.created,
            changed=position.changed,
            unchanged=position.unchanged,
            bad=position.bad,
            resumed_behind=self._resumed_behind,
        )
        if self._tell is not None:
            self._tell(progress)
        return progress


def _advance(position: Position, batch: Batch, outcome: BatchOutcome) -> Position:
    return Position(
        offset=batch.end,
        lines=batch.lines,
        created=position.created + len(outcome.created),
        changed=position.changed + len(outcome.changed),
        unchanged=position.unchanged + outcome.unchanged,
        bad=position.bad + len(outcome.bad),
    )
