"""Reads a file of lines in batches bounded in lines and bytes, each line parsed and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

from kaa_epr.mongo.documents import DocumentInvalid, Endpoint
from kaa_epr.mongo.transfer.lines import parse_line

MAX_LINE: Final = 128 * 1024 * 1024
"""Bytes of a line: the largest document with every byte escaped (``\\u0001``) and room to spare."""
_SKIP: Final = 1024 * 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class BadLine(NamedTuple):
    """A line that was not imported; all others were."""

    number: int
    """Counted from 1."""
    reason: str
    endpoint_id: str | None = None
    """Where the line itself was fine."""


class GoodLine(NamedTuple):
    """A line that passed every check that needs no store."""

    number: int
    endpoint: Endpoint


@dataclass(slots=True)
class Batch:
    """Consecutive lines, and where they end."""

    good: dict[str, GoodLine] = field(default_factory=dict)
    """By endpoint ID; a second line of one endpoint begins the next batch, so that the later one wins."""
    bad: list[BadLine] = field(default_factory=list)
    end: int = 0
    """Offset in bytes of the first line behind them."""
    lines: int = 0
    """Lines up to ``end``, from the start of the file."""


class Source:
    """A binary file that stands at byte ``offset``, behind ``lines`` lines."""

    def __init__(self, file: BinaryIO, offset: int, lines: int, max_lines: int, max_bytes: int) -> None:
        self._file = file
        self._offset = offset
        self._lines = lines
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._waiting: tuple[GoodLine, int] | None = None

    def next_batch(self) -> Batch | None:
        """The next lines, at least one; None at the end of the file. Blocks while reading."""
        batch = Batch(end=self._offset, lines=self._lines)
        size = 0
        while len(batch.good) + len(batch.bad) < self._max_lines and size < self._max_bytes:
            line = self._next_line(batch)
            if line is None:
                break
            size += line[1]
            good = line[0]
            if good is not None and good.endpoint.id in batch.good:
                self._waiting = good, line[1]
                break
            if good is not None:
                batch.good[good.endpoint.id] = good
            batch.end, batch.lines = batch.end + line[1], batch.lines + 1
        if batch.lines == self._lines:
            return None
        self._offset, self._lines = batch.end, batch.lines
        return batch

    def _next_line(self, batch: Batch) -> tuple[GoodLine | None, int] | None:
        """The next line if it is good, and its bytes; a bad one is noted in ``batch``. None at the end."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            return waiting
        line = self._file.readline(MAX_LINE)
        if not line:
            return None
        number, size = batch.lines + 1, len(line)
        if size == MAX_LINE and not line.endswith(b"\n"):
            batch.bad.append(BadLine(number, f"longer than {MAX_LINE} bytes"))
            return None, size + self._skip_line()
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line.strip():
            return None, size
        try:
            return GoodLine(number, parse_line(line)), size
        except DocumentInvalid as error:
            batch.bad.append(BadLine(number, str(error)))
            return None, size

    def _skip_line(self) -> int:
        skipped = 0
        while part := self._file.readline(_SKIP):
            skipped += len(part)
            if part.endswith(b"\n"):
                break
        return skipped
