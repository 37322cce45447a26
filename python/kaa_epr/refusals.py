"""Why a change is refused. Every refusal has the HTTP status that REST answers and 19/EPMMP carries.

Texts name fields and keys, never values.
"""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus
from typing import ClassVar

from kaa_epr.errors import KaaEprError, shown


class Refusal(KaaEprError):
    """Base: the change was not made."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    text: ClassVar[str] = ""
    """What ``message`` says, with ``{names}`` of the refusal's own attributes."""

    def message(self) -> str:
        """For whoever asked for the change."""
        return self.text.format_map(vars(self))


class FieldRefusal(Refusal):
    """Base of those that are about one field of the request."""

    text = "{field}: {reason}"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = shown(field)
        self.reason = reason


class Invalid(FieldRefusal):
    """The request itself is wrong, whatever is stored."""

    status = HTTPStatus.BAD_REQUEST


class Taken(FieldRefusal):
    """Something unique exists already."""

    status = HTTPStatus.CONFLICT


class TooLarge(FieldRefusal):
    """More than may be stored, or than one event may carry."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class PatchConflict(Refusal):
    """A JSON Patch does not fit what is stored: no such location, or a failed ``test`` (RFC 5789, 2.2)."""

    status = HTTPStatus.CONFLICT
    text = "patch[{index}]: {reason}"

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(index, reason)
        self.index = index
        self.reason = reason


class KeyRefusal(Refusal):
    """Base of those that are about one metadata key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key
        self.shown = shown(key)


class Restricted(KeyRefusal):
    """A key that this application's endpoints may not have changed."""

    status = HTTPStatus.FORBIDDEN
    text = "metadata.{shown}: the key is restricted"


class KeyUnknown(KeyRefusal):
    """The endpoint has no such metadata key; the key came from outside and is known there."""

    status = HTTPStatus.NOT_FOUND
    text = "Metadata key not found"


class EndpointUnknown(Refusal):
    """No such endpoint, or a tombstone; said as the responder says it."""

    status = HTTPStatus.NOT_FOUND
    text = "Endpoint not found"

    def __init__(self, endpoint_id: str = "") -> None:
        super().__init__(endpoint_id)
        self.endpoint_id = endpoint_id


class PreconditionFailed(Refusal):
    """``If-Match`` or ``If-None-Match`` does not hold."""

    status = HTTPStatus.PRECONDITION_FAILED
    text = "The endpoint's eTag does not match"


class Superseded(Refusal):
    """A change whose first try was left unknown, and the endpoint is not any more as it was then."""

    status = HTTPStatus.CONFLICT
    text = "The endpoint was changed since this was first tried; perhaps by the first try, and then by others"


class Unusable(Refusal):
    """The stored document cannot be read; said as the responder says it."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    text = "Stored endpoint is unusable"


class InternalError(Refusal):
    """A bug of ours; the log has it. Whether the change is stored is not known."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    text = "Internal server error"


class Stored(Enum):
    """What became of the change that was asked for."""

    NO = "no"
    """Nothing, and it will not be carried out later: asking again is safe. So for all that only reads."""
    UNKNOWN = "unknown"
    """Perhaps it is stored, or will be; its event then follows. Only reading the endpoint tells."""
    YES = "yes"
    """It is stored for good, and its event follows by itself."""


class Unavailable(Refusal):
    """Not now: the store or NATS does not take it, or too much is under way."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, reason: str, stored: Stored, version: int | None = None) -> None:
        """``version``: the endpoint's when the change was decided; None: none, or nothing was decided."""
        super().__init__(reason, stored, version)
        self.reason = reason
        self.stored = stored
        self.version = version

    def message(self) -> str:
        """Why; where it is not simply undone, that comes first."""
        match self.stored:
            case Stored.NO:
                return self.reason
            case Stored.UNKNOWN:
                return f"Perhaps the change is stored: {self.reason}"
            case Stored.YES:
                return f"The change is stored, but {self.reason}"


class WriteRefused(Unavailable):
    """The store is there and refuses to write this, for a reason that we know nothing of."""

    def __init__(self, code: int) -> None:
        super().__init__(f"The endpoint store refused the write with code {code}", Stored.NO)
        self.args = (code,)
        self.code = code


def store_unavailable() -> Unavailable:
    """The store did not answer a read, or was not asked; said as the responder says it."""
    return Unavailable("Endpoint store is unavailable", Stored.NO)
