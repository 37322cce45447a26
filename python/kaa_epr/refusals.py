"""Why a change is refused. Every refusal has the HTTP status that REST answers and 19/EPMMP carries.

Texts name fields and keys, never values.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from kaa_epr.errors import KaaEprError


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
        self.field = field
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


class Restricted(KeyRefusal):
    """A key that this application's endpoints may not have changed."""

    status = HTTPStatus.FORBIDDEN
    text = "metadata.{key}: the key is restricted"


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


class Unavailable(Refusal):
    """Not now: the store or NATS does not take it. Should the change be stored, then its event follows."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    text = "{reason}"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InternalError(Refusal):
    """Ours; the log has it. The change was not made."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    text = "Internal server error"
