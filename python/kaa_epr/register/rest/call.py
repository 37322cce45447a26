"""What handlers see: one request, and what they carry it out with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from kaa_epr.http.auth import Principal
from kaa_epr.http.request import Request
from kaa_epr.refusals import Invalid, PreconditionFailed
from kaa_epr.register.decide.planning import Outcome
from kaa_epr.register.decide.preconditions import NONE, Preconditions, strong_match, weak_match
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.state import EndpointState
from kaa_epr.register.endpoints import Endpoints
from kaa_epr.register.idempotency import KeyedRequest, Once
from kaa_epr.register.intake.commands import Command
from kaa_epr.register.intake.reading import Reading
from kaa_epr.register.lists import Pages
from kaa_epr.register.rest.http import API, Reply, empty, preconditions_of
from kaa_epr.register.tasks import BatchTasks

MAX_KEY: Final = 255
"""Characters of an ``Idempotency-Key``."""
_KEY: Final = re.compile(rf"[ -~]{{1,{MAX_KEY}}}")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as far as it is the same for all operations."""

    request: Request
    path: Mapping[str, str]
    """The parts of its path, decoded, by their names."""
    query: Mapping[str, Any]
    content: bytes
    """The body as it came."""
    correlation_id: str
    prefix: str
    """What stands before ``/api/v1`` in its path."""
    principal: Principal | None
    """Who asks; None: anybody, as no token is needed."""

    def keyed(self, operation: str) -> KeyedRequest | None:
        """The request under its ``Idempotency-Key``, if it has one. Raises ``Invalid``."""
        key = self.request.header(b"idempotency-key")
        if key is None:
            return None
        if not _KEY.fullmatch(key):
            raise Invalid("Idempotency-Key", f"must be 1 to {MAX_KEY} printable ASCII characters")
        caller = None if self.principal is None else self.principal.name
        return KeyedRequest(caller, key, operation, self.content)

    @property
    def endpoint_id(self) -> str:
        """Of the path."""
        return self.path["endpointId"]

    @property
    def metadata_key(self) -> str:
        """Of the path."""
        return self.path["metadataKey"]

    def preconditions(self, key: str | None = None) -> Preconditions:
        """``If-Match`` and ``If-None-Match``; ``key``: of the endpoint's, the one that they are about."""
        return preconditions_of(self.request, key)


@dataclass(frozen=True, slots=True)
class Backend:
    """What there is to answer with."""

    endpoints: Endpoints
    tasks: BatchTasks
    reading: Reading
    once: Once
    """For requests that have an ``Idempotency-Key``."""
    rules: Rules
    """What a request may hold is judged before its conditions and before anything is read."""
    pages: Pages
    seconds: float
    """Longest time for one step with the store."""
    public_url: str | None = None
    """What clients put before ``/api/v1``, where the request itself does not say that."""

    def place(self, call: Call, below: str) -> str:
        """``scheme://host/…/api/v1/`` as the caller sees it, and what is below it.

        Kaa documents ``Location`` as an absolute URI.
        """
        before = self.public_url
        if before is None:
            host = call.request.header(b"host")
            # HTTP/1.0 need not say where it believes to be.
            before = f"{call.request.scheme}://{host}{call.prefix}" if host else call.prefix
        return f"{before}{API}/{below}"

    async def change(self, call: Call, command: Command, key: str | None = None) -> Outcome:
        """Carries out what the call asks of its endpoint, under its conditions. Raises a ``Refusal``."""
        conditions = call.preconditions(key)
        has_any = conditions.if_match is not None or conditions.if_none_match is not None
        return await self.endpoints.change(
            call.endpoint_id, command, call.correlation_id, conditions if has_any else NONE
        )


def read_reply(call: Call, state: EndpointState, body: Any) -> Reply:
    """A GET's answer, or 304 or 412 where its conditions say so (RFC 9110, 13.2.2)."""
    conditions = call.preconditions()
    if conditions.if_match is not None and not strong_match(conditions.if_match, state.etag):
        raise PreconditionFailed
    if conditions.if_none_match is not None and weak_match(conditions.if_none_match, state.etag):
        return empty(HTTPStatus.NOT_MODIFIED, state.etag)
    return Reply(body=body, etag=state.etag)
