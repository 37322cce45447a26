"""What the server itself refuses, before any application sees it; texts name no values."""

from __future__ import annotations

from http import HTTPStatus

from kaa_epr.refusals import Refusal


class Malformed(Refusal):
    """Not HTTP/1.1 as RFC 9112 has it, or HTTP that two readers might understand differently."""

    status = HTTPStatus.BAD_REQUEST
    text = "HTTP: {reason}"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HeadTooLarge(Refusal):
    """Request line and headers are bounded together."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    text = "HTTP: request line and headers are larger than {limit} bytes"

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class TooManyHeaders(Refusal):
    """Each costs more than its bytes."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    text = "HTTP: more than {limit} headers"

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class UnknownMethod(Refusal):
    """No method that anybody defined."""

    status = HTTPStatus.NOT_IMPLEMENTED
    text = "HTTP: the method is not known"


class UnknownVersion(Refusal):
    """HTTP/2 without asking first, or what is still to come."""

    status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    text = "HTTP: only HTTP/1.1 and HTTP/1.0 are spoken here"


class ExpectationFailed(Refusal):
    """An ``Expect`` other than ``100-continue``."""

    status = HTTPStatus.EXPECTATION_FAILED
    text = "HTTP: only 100-continue can be expected"


class TooSlow(Refusal):
    """The request was not complete in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    text = "HTTP: the request was not complete within {seconds:g} seconds"

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds
