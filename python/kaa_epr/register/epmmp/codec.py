"""Bytes to requests of 19/EPMMP's writes, and answers to bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from kaa_epr import schemas
from kaa_epr.clock import wall_ms
from kaa_epr.messages.avro import AvroError, Cursor, Datum, TooManyItems, read_long, read_string
from kaa_epr.messages.outgoing import write_datum
from kaa_epr.refusals import Invalid
from kaa_epr.register.epmmp.flat import flat_record

MAX_ID_BYTES: Final = 4096
"""Of a correlationId and an endpointId: both are echoed, as gets have it."""

Begin = Callable[[Mapping[str, Any]], Awaitable[object]]
"""Carries out a decoded request, or raises a ``Refusal``. A change on its way is a future, and no task."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One request type."""

    message_type: str
    request: str
    response: str
    begin: Begin
    echoes: tuple[str, ...] = ("endpointId",)
    """Fields of the request that the answer repeats."""
    is_native: bool = False
    """Whether the core codes the messages where it can."""
    max_items: int = 0
    """Of each array of the request; what is behind more is not read."""


@dataclass(slots=True)
class Counts:
    """Of one operation, since the start."""

    requests: int = 0
    errors: int = 0
    """Answers other than 200 and 404."""
    nanoseconds: int = 0
    """From taking a request to its answer."""


UNREAD: Final[Mapping[str, Any]] = {"correlationId": ""}
"""Stands for a request that is not decoded."""


class Codec:
    """Bytes to requests and answers to bytes, for one operation."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.counts = Counts()
        self._request = Datum(schemas.load(operation.request), operation.max_items)
        self._flat = flat_record(operation.request) if operation.is_native else None
        self._flat_answer = flat_record(operation.response) if operation.is_native else None

    def decode(self, payload: bytes) -> dict[str, Any]:
        """The request. Raises ``Invalid``."""
        request = None if self._flat is None else self._flat.decode(payload)
        try:
            request = request or self._request.decode(payload)
        except TooManyItems as error:
            raise Invalid(error.field.partition("[")[0], f"more than {self.operation.max_items}") from None
        except AvroError as error:
            raise _Malformed(str(error)) from None
        for name in ("correlationId", "endpointId"):
            if len(request.get(name, "").encode()) > MAX_ID_BYTES:
                raise _Malformed(f"identifier longer than {MAX_ID_BYTES} bytes")
        return request

    def _partly(self, payload: bytes) -> dict[str, Any]:
        """What may be echoed of a request that perhaps does not decode: as far as it does, else empty."""
        known: dict[str, Any] = {"correlationId": "", "endpointId": ""}
        cursor = Cursor(payload)
        try:
            known["correlationId"] = read_string(cursor)
            if "endpointId" in self.operation.echoes:
                read_long(cursor)
                read_long(cursor)
                known["endpointId"] = read_string(cursor)
        except AvroError:
            # The whole does not decode either, and the answer says so.
            pass
        if max(len(known["correlationId"].encode()), len(known["endpointId"].encode())) > MAX_ID_BYTES:
            return known | {"correlationId": "", "endpointId": ""}
        return known

    def answer(self, request: Mapping[str, Any]) -> bytes:
        """A 200."""
        return self._encode(request, HTTPStatus.OK, None)

    def refused(self, request: Mapping[str, Any], payload: bytes, status: HTTPStatus, reason: str) -> bytes:
        """Anything else; ``request`` may be ``UNREAD``."""
        self.counts.errors += status is not HTTPStatus.NOT_FOUND
        known = self._partly(payload) if request is UNREAD else request
        return self._encode(known, status, reason)

    def _encode(self, request: Mapping[str, Any], status: HTTPStatus, reason: str | None) -> bytes:
        echoed = {name: request.get(name, "") for name in self.operation.echoes}
        head = {"correlationId": request["correlationId"], "timestamp": wall_ms(), "timeout": 0}
        result = {"statusCode": int(status), "reasonPhrase": reason}
        record = {**head, **echoed, **result}
        if self._flat_answer is not None:
            return self._flat_answer.encode(record)
        return write_datum(self.operation.response, record)


class _Malformed(Invalid):
    def __init__(self, reason: str) -> None:
        super().__init__("Malformed request", reason)
        self.args = (reason,)
