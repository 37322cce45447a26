"""Why a change is refused. Every refusal has the HTTP status that REST answers and 19/EPMMP carries.

Texts name fields and keys, never values.
"""

from __future__ import annotations

from http import HTTPStatus

from kaa_epr.errors import KaaEprError


class Refusal(KaaEprError):
    """Base: the change was not made."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR


class Invalid(Refusal):
    """The request itself is wrong, whatever is stored."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def message(self) -> str:
        """``field: reason``."""
        return f"{self.field}: {self.reason}"


class Restricted(Refusal):
    """A key that this application's endpoints may not have changed."""

    status = HTTPStatus.FORBIDDEN

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def message(self) -> str:
        """Name the key."""
        return f"metadata.{self.key}: the key is restricted"


class EndpointUnknown(Refusal):
    """No such endpoint, or a tombstone."""

    status = HTTPStatus.NOT_FOUND

    def __init__(self, endpoint_id: str = "") -> None:
        super().__init__(endpoint_id)
        self.endpoint_id = endpoint_id

    def message(self) -> str:
        """As the responder says it."""
        return "Endpoint not found"


class KeyUnknown(Refusal):
    """The endpoint has no such metadata key."""

    status = HTTPStatus.NOT_FOUND

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def message(self) -> str:
        """Only that: the key came from outside and is known there."""
        return "Metadata key not found"


class Taken(Refusal):
    """Something unique exists already."""

    status = HTTPStatus.CONFLICT

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def message(self) -> str:
        """``field: reason``."""
        return f"{self.field}: {self.reason}"


class PatchConflict(Refusal):
    """A JSON Patch does not fit what is stored: no such location, or a failed ``test`` (RFC 5789, 2.2)."""

    status = HTTPStatus.CONFLICT

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(index, reason)
        self.index = index
        self.reason = reason

    def message(self) -> str:
        """Which operation, and why."""
        return f"patch[{self.index}]: {self.reason}"


class PreconditionFailed(Refusal):
    """``If-Match`` or ``If-None-Match`` does not hold."""

    status = HTTPStatus.PRECONDITION_FAILED

    def message(self) -> str:
        """In one phrase."""
        return "The endpoint's eTag does not match"


class TooLarge(Refusal):
    """More than may be stored, or than one event may carry."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def message(self) -> str:
        """``field: reason``."""
        return f"{self.field}: {self.reason}"


class Unusable(Refusal):
    """The stored document cannot be read."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def message(self) -> str:
        """As the responder says it."""
        return "Stored endpoint is unusable"


class Unavailable(Refusal):
    """Not now: the store or NATS does not take it. Should the change be stored, then its event follows."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def message(self) -> str:
        """Why."""
        return self.reason
