"""What goes wrong with the store. Texts hold neither stored values nor credentials."""

from __future__ import annotations

from enum import Enum
from typing import Final

from bson.errors import BSONError
from pymongo.errors import (
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from kaa_epr.config.masking import mask_userinfo
from kaa_epr.errors import KaaEprError

_MAX_DETAIL: Final = 400
"""Characters kept of a driver's text: it repeats the state of every server of the deployment."""


class Effect(Enum):
    """What an operation that failed did to the stored documents."""

    NONE = "none"
    """Nothing, and it will do nothing: it was not sent, or the server refused it before it began."""
    PERHAPS = "perhaps"
    """Sent, and not answered, or stopped midway; what nobody waits for may still be carried out."""
    UNCONFIRMED = "unconfirmed"
    """The primary has it, and nobody knows whether the majority will."""


class StoreError(KaaEprError):
    """Base of everything the store raises."""

    effect: Effect = Effect.NONE
    """Of the operation that failed, if it writes."""


class StoreUnavailable(StoreError):
    """The store could not be asked, or refused to answer."""

    def __init__(self, reason: str, effect: Effect = Effect.NONE) -> None:
        super().__init__(reason)
        self.reason = reason
        self.effect = effect

    def message(self) -> str:
        """Why."""
        return f"the endpoint store is unavailable: {self.reason}"


class StoreOverloaded(StoreUnavailable):
    """So many operations were left behind unfinished that no more are begun."""

    def __init__(self, unfinished: int) -> None:
        super().__init__(f"{unfinished} operations are past their time limit and still unfinished")
        self.args = (unfinished,)
        self.unfinished = unfinished


class StoreBusy(StoreUnavailable):
    """So many operations of one kind wait for their turn that no more may."""

    def __init__(self, operation: str, waiting: int) -> None:
        super().__init__(f"{waiting} operations of one kind are under way or waiting ({operation})")
        self.args = (operation, waiting)
        self.operation = operation
        self.waiting = waiting


class StoreTimeout(StoreError):
    """The store did not answer in time."""

    def __init__(self, operation: str, seconds: float, effect: Effect = Effect.PERHAPS) -> None:
        super().__init__(operation, seconds)
        self.operation = operation
        self.seconds = seconds
        self.effect = effect

    def message(self) -> str:
        """What took too long, and how long it was allowed to take."""
        return f"the endpoint store did not answer within {self.seconds:g} s ({self.operation})"


class StoreSettingsRefused(StoreError):
    """The driver does not accept the connection settings."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def message(self) -> str:
        """What is wrong; never the connection string itself."""
        return f"the settings under mongo are not usable: {self.reason}"


class ForeignCollection(StoreError):
    """A write was asked for although a field mapping says that another service owns the documents."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field

    def message(self) -> str:
        """Which mapping stands in the way."""
        return (
            f"mongo.fields.{self.field} is mapped to another name, so the documents belong to another "
            "service: they are read, never written"
        )


class IndexesRefused(StoreError):
    """The server does not make an index: duplicates in the way of a unique one, or no right to make any."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(name, code)
        self.name = name
        self.code = code

    def message(self) -> str:
        """Why, in the server's name for it; its own text may quote stored values."""
        return f"MongoDB refuses to make indexes: {self.name} (code {self.code})"


class ChangeStreamLost(StoreError):
    """A change stream cannot go on where it was; changes may have been missed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def message(self) -> str:
        """Why."""
        return f"the change stream is lost: {self.reason}"


class CollectionEnded(ChangeStreamLost):
    """The collection was dropped or renamed."""

    def __init__(self) -> None:
        super().__init__("the collection was dropped or renamed")
        self.args = ()


class ChangeStreamMoved(StoreError):
    """The store has another client than the stream; it goes on where it was on that one."""

    def message(self) -> str:
        """Why."""
        return "the client of the change stream was replaced"


class ChangeStreamUnsupported(StoreError):
    """The deployment has no change streams."""

    def message(self) -> str:
        """What to do."""
        return (
            "MongoDB offers change streams on replica sets and sharded clusters only: make mongod a replica "
            "set (one member will do), or set invalidation.change_stream to false"
        )


def from_driver(
    error: PyMongoError | BSONError, operation: str, seconds: float, effect: Effect = Effect.NONE
) -> StoreError:
    """The store's error for a driver's; ``effect`` is that of the operation.

    Of a refused command only code and code name are kept: its text may quote stored values.
    """
    if isinstance(error, ServerSelectionTimeoutError):
        return StoreUnavailable(f"no primary is reachable ({_detail(error)})", effect)
    if isinstance(error, PyMongoError) and error.timeout:
        return StoreTimeout(operation, seconds, effect)
    if isinstance(error, OperationFailure):
        name = (error.details or {}).get("codeName", "no code name")
        return StoreUnavailable(f"{operation} was refused with {name} (code {error.code})", effect)
    if isinstance(error, ConnectionFailure):
        return StoreUnavailable(_detail(error), effect)
    return StoreUnavailable(f"{operation} failed with {type(error).__name__}", effect)


def _detail(error: PyMongoError) -> str:
    # Host names and causes such as "connection refused" or "certificate verify failed", without the server's
    # whole answer that the driver may append.
    text = mask_userinfo(str(error).partition(", full error:")[0])
    return text if len(text) <= _MAX_DETAIL else text[:_MAX_DETAIL] + "…"
