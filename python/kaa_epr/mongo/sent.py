"""What was sent for an operation, and what came back: so what it can have changed when it failed.

The driver's exceptions do not say it. A time-out may follow a first attempt that was sent, a lost connection
may be one that never carried the command, and a refusal may be that of the second attempt. So the commands
themselves are watched, in the context of their operation: Motor's threads run in it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from bson.errors import BSONError
from pymongo.errors import BulkWriteError, PyMongoError, WriteConcernError
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from kaa_epr.mongo.errors import Effect

_WRITES: Final = frozenset({"insert", "update", "delete", "findAndModify"})
_NOT_BEGUN: Final = frozenset({13, 18, 10_107, 13_435, 13_436})
"""Codes with which a server refuses a command before its first statement: Unauthorized, AuthenticationFailed,
NotWritablePrimary, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary. With others (interrupted, out of time)
some statements may be done."""
_NO_WRITES: Final = "NoWritesPerformed"
"""The label by which newer servers say the same."""


class Sent:
    """The writes of one operation."""

    def __init__(self) -> None:
        self._commands = 0
        self._harmless = 0

    def started(self) -> None:
        """One is about to be sent."""
        self._commands += 1

    def refused(self, answer: Any) -> None:
        """One failed; ``answer`` is the server's, or the driver's description of what happened instead."""
        code, labels = answer.get("code"), answer.get("errorLabels") or ()
        self._harmless += "errtype" not in answer and (code in _NOT_BEGUN or _NO_WRITES in labels)

    def effect(self, error: PyMongoError | BSONError) -> Effect:
        """Of the operation, which ended with ``error``."""
        if self._commands == self._harmless:
            return Effect.NONE
        done = isinstance(error, WriteConcernError) or (
            isinstance(error, BulkWriteError) and bool(error.details.get("writeConcernErrors"))
        )
        return Effect.UNCONFIRMED if done else Effect.PERHAPS


_current: Final[ContextVar[Sent | None]] = ContextVar("sent", default=None)


@contextmanager
def watched() -> Iterator[Sent]:
    """What the current context sends within."""
    sent = Sent()
    token = _current.set(sent)
    try:
        yield sent
    finally:
        _current.reset(token)


class SentWatch(CommandListener):
    """Tells the operation whose context a command is sent in."""

    def started(self, event: CommandStartedEvent) -> None:
        """Counts it."""
        if event.command_name in _WRITES and (sent := _current.get()) is not None:
            sent.started()

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """What was done stays counted."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Takes it back where nothing can have been done."""
        if event.command_name in _WRITES and (sent := _current.get()) is not None:
            sent.refused(event.failure)
