"""Conditional writes that are BSON already, sent as they are: one ``update`` command for many of them.

The driver's ``bulk_write`` looks into every statement and encodes it again. In a plain command it takes raw
documents over byte for byte, as a sequence behind the command (OP_MSG, section of kind 1). What the driver
does for a bulk write, and not for a plain command, is done here:

* it is split where a message would become too long;
* after a lost connection or a stepped-down primary it is sent again until the time is up, with the same
  number in the same session, so that the server carries out what it has not carried out yet, and nothing
  twice (retryable writes). The numbers of a session are ours alone: it is never given back to the driver's
  pool, and begins far above what the driver may have used it for.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from bson import Int64
from bson.raw_bson import RawBSONDocument
from pymongo.errors import (
    ConnectionFailure,
    NotPrimaryError,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)
from pymongo.server_description import ServerDescription

from kaa_epr.mongo.api import Statement, WriteFailure, WriteOutcome, WriteUnconfirmed
from kaa_epr.mongo.client import BoundedClient
from kaa_epr.mongo.conditional import DOCUMENT_TOO_LARGE
from kaa_epr.mongo.handle import MAJORITY, Handle, Numbering
from kaa_epr.mongo.lenient import LENIENT

MAX_STATEMENT: Final = 16 * 1024 * 1024
"""Bytes; the driver sends no larger document (``maxBsonObjectSize``)."""
MAX_MESSAGE: Final = 47_000_000
"""Bytes of statements in one command: MongoDB takes 48,000,000 in all (``maxMessageSizeBytes``)."""
MAX_STATEMENTS: Final = 100_000
"""Of one command (``maxWriteBatchSize``)."""
_REPEATABLE: Final = "RetryableWriteError"
"""The label by which servers say that the same write may be sent again."""


class _Told:
    """What the answers say of statements."""

    def __init__(self) -> None:
        self.applied = 0
        self.failures: list[WriteFailure] = []
        self.confirmed = True

    def take(self, positions: Sequence[int], answer: Mapping[str, Any]) -> None:
        """An answer to the command that had the statements at ``positions``."""
        self.applied += answer.get("n", 0)
        self.confirmed = self.confirmed and "writeConcernError" not in answer
        for error in answer.get("writeErrors") or ():
            fields = tuple(error.get("keyPattern") or ())
            self.failures.append(WriteFailure(positions[error["index"]], error["code"], fields))

    def outcome(self) -> WriteOutcome:
        """Of all. Raises ``WriteUnconfirmed``."""
        outcome = WriteOutcome(self.applied, tuple(self.failures))
        if not self.confirmed:
            raise WriteUnconfirmed(outcome)
        return outcome


class StatementQueries(BoundedClient):
    """Over either driver."""

    async def upsert(self, statements: Sequence[Statement], time_limit: float) -> WriteOutcome:
        """Unordered, acknowledged by the majority."""

        async def send() -> WriteOutcome:
            told = _Told()
            fitting = []
            for position, each in enumerate(statements):
                if each.size <= MAX_STATEMENT:
                    fitting.append(position)
                else:
                    told.failures.append(WriteFailure(position, DOCUMENT_TOO_LARGE, ()))
            for positions in _messages(statements, fitting):
                updates = [RawBSONDocument(statements[position].bson) for position in positions]
                told.take(positions, await self._update(updates))
            return told.outcome()

        return await self._limited(send, "write", time_limit)

    async def _update(self, updates: list[RawBSONDocument]) -> Mapping[str, Any]:
        """The answer to one command, which is repeated while that can help."""
        command = {
            "update": self._name,
            "ordered": False,
            "writeConcern": {"w": MAJORITY},
            "updates": updates,
        }
        handle = self._handle
        if not await _repeats(handle):
            answer: Mapping[str, Any] = await handle.database.command(command, codec_options=LENIENT)
            return answer
        async with self._numbered(handle) as numbering:
            numbering.last += 1
            return await _repeated(handle, numbering, command)

    @asynccontextmanager
    async def _numbered(self, handle: Handle) -> AsyncIterator[Numbering]:
        """A session that nobody else uses meanwhile.

        Kept for the next only if all went well: what a lost connection has left on the server may hold it up.
        """
        if handle.numbering:
            numbering = handle.numbering.pop()
        else:
            numbering = Numbering(await self._session(), time.time_ns() // 1000)
        yield numbering
        handle.numbering.append(numbering)


def _messages(statements: Sequence[Statement], positions: Sequence[int]) -> Iterator[list[int]]:
    """Positions of statements that fit into one command."""
    message: list[int] = []
    size = 0
    for position in positions:
        size += statements[position].size
        if message and (size > MAX_MESSAGE or len(message) == MAX_STATEMENTS):
            yield message
            message, size = [], statements[position].size
        message.append(position)
    if message:
        yield message


async def _repeats(handle: Handle) -> bool:
    """Whether the server takes numbered writes: members of replica sets and routers do.

    Servers do not become another kind; while one is away, the driver does not know what it is.
    """
    if not handle.repeats:
        if not any(server.is_server_type_known for server in _servers(handle)):
            # The first operation of a client finds out.
            await handle.database.command("ping")
        handle.repeats = any(server.retryable_writes_supported for server in _servers(handle))
    return handle.repeats


def _servers(handle: Handle) -> Iterable[ServerDescription]:
    servers: Mapping[Any, ServerDescription] = handle.client.topology_description.server_descriptions()
    return servers.values()


async def _repeated(handle: Handle, numbering: Numbering, command: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer. Ends with the limits of the driver's time that it runs within.

    As the driver does, it tells of the first failure if it is only a later one that nothing is known of.
    """
    numbered = {**command, "txnNumber": Int64(numbering.last)}
    unconfirmed: Mapping[str, Any] | None = None
    failed: PyMongoError | None = None
    while True:
        try:
            answer: Mapping[str, Any] = await handle.database.command(
                dict(numbered), session=numbering.session, codec_options=LENIENT
            )
        except PyMongoError as error:
            if _may_be_repeated(error):
                failed = failed or error
                continue
            if unconfirmed is not None:
                # The primary had carried it out; all that can be missing is still the majority's word.
                return unconfirmed
            if failed is not None:
                raise failed from error
            raise
        if "writeConcernError" not in answer or _REPEATABLE not in (answer.get("errorLabels") or ()):
            return answer
        unconfirmed = answer


def _may_be_repeated(error: PyMongoError) -> bool:
    """Whether another attempt can help. What found no server or connection has taken its time for that."""
    if isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError) or error.timeout:
        return False
    lost = isinstance(error, ConnectionFailure) and not isinstance(error, NotPrimaryError)
    return lost or error.has_error_label(_REPEATABLE)
