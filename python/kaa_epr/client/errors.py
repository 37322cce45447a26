"""What a get can come to other than an answer with metadata. Texts hold ids and reasons, never metadata."""

from __future__ import annotations

from typing import Final

from kaa_epr.errors import KaaEprError

_LONGEST_SHOWN: Final = 200


def _shown(text: str) -> str:
    """``text`` from elsewhere on one line and of bounded length."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")


class ClientError(KaaEprError):
    """Base of the client's errors."""


class GetError(ClientError):
    """One get came to nothing; ``correlation_id`` is what to look for in the logs of both sides."""

    def __init__(self, endpoint_id: str, correlation_id: str, *facts: object) -> None:
        super().__init__(endpoint_id, correlation_id, *facts)
        self.endpoint_id = endpoint_id
        self.correlation_id = correlation_id

    def problem(self) -> str:
        """What happened; a subclass knows more."""
        return "the get came to nothing"

    def message(self) -> str:
        """Name endpoint, problem and correlation id."""
        correlation = f"(correlation id {_shown(self.correlation_id)})"
        return f"endpoint {_shown(self.endpoint_id)}: {self.problem()} {correlation}"


class StatusError(GetError):
    """The answer's status is not 200; ``reason`` is its reasonPhrase."""

    def __init__(self, endpoint_id: str, correlation_id: str, status: int, reason: str | None) -> None:
        super().__init__(endpoint_id, correlation_id, status, reason)
        self.status = status
        self.reason = reason

    def problem(self) -> str:
        """Status and reason."""
        return f"status {self.status}" + (f", {_shown(self.reason)}" if self.reason else "")


class BadRequest(StatusError):
    """400, from the repository; or from the client itself for what the protocol's limits forbid to send."""


class EndpointNotFound(StatusError):
    """404: the repository knows no such endpoint."""


class PayloadTooLarge(StatusError):
    """413: the metadata does not fit into one NATS message; ask for fewer fields."""


class RepositoryError(StatusError):
    """500, or a status that 19/EPMMP repositories are not known to send."""


class RepositoryUnavailable(StatusError):
    """503, and the retries and the time for more of them are used up."""


class NoResponders(RepositoryUnavailable):
    """NATS knows nobody who listens to the repository's subject; otherwise as ``RepositoryUnavailable``."""


class RequestTimeout(GetError):
    """No answer within ``timeout`` seconds; ``hint`` is what NATS refused meanwhile, if anything."""

    def __init__(
        self, endpoint_id: str, correlation_id: str, timeout: float, attempts: int, hint: str | None = None
    ) -> None:
        super().__init__(endpoint_id, correlation_id, timeout, attempts, hint)
        self.timeout = timeout
        self.attempts = attempts
        self.hint = hint

    def problem(self) -> str:
        """Time and attempts used up."""
        hint = f"; NATS said {_shown(self.hint)}" if self.hint else ""
        return f"no answer within {self.timeout:g} s and {self.attempts} attempts{hint}"


class ProtocolViolation(GetError):
    """An answer that is none by 19/EPMMP; ``violation`` says what is wrong with it."""

    def __init__(self, endpoint_id: str, correlation_id: str, violation: str) -> None:
        super().__init__(endpoint_id, correlation_id, violation)
        self.violation = violation

    def problem(self) -> str:
        """What is wrong with the answer."""
        return f"unusable answer: {self.violation}"


class TooManyRequests(ClientError):
    """``limit`` gets are in flight already; nothing was sent."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def message(self) -> str:
        """Name the limit."""
        return f"{self.limit} gets are in flight already (max_in_flight)"


class ClientClosed(ClientError):
    """The client was closed, or the connection that was lent to it."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def message(self) -> str:
        """Name what was closed."""
        return f"{self.what} is closed"


class ConnectionFailed(ClientError):
    """No NATS server took the connection in time; ``problem`` is what the last one did instead."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def message(self) -> str:
        """Name the last problem."""
        return f"no connection to NATS: {self.problem}"


_BY_STATUS: Final[dict[int, type[StatusError]]] = {
    400: BadRequest,
    404: EndpointNotFound,
    413: PayloadTooLarge,
    503: RepositoryUnavailable,
}


def from_status(endpoint_id: str, correlation_id: str, status: int, reason: str | None) -> StatusError:
    """The error that stands for an answer's status."""
    return _BY_STATUS.get(status, RepositoryError)(endpoint_id, correlation_id, status, reason)
