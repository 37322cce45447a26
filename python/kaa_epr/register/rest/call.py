"""What handlers see: one request, and what they carry it out with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from kaa_epr.http import request as http
from kaa_epr.http.auth import Principal
from kaa_epr.refusals import Invalid, PreconditionFailed, Unusable
from kaa_epr.register.decide.api import Command, Outcome, Planner, Request, Show
from kaa_epr.register.decide.preconditions import strong_match, weak_match
from kaa_epr.register.decide.view import View
from kaa_epr.register.endpoints import Endpoints
from kaa_epr.register.idempotency import KeyedRequest, Once
from kaa_epr.register.intake.reading import Reading
from kaa_epr.register.lists import Pages
from kaa_epr.register.rest.http import API, Reply, empty
from kaa_epr.register.tasks import BatchTasks

MAX_KEY: Final = 255
"""Characters of an ``Idempotency-Key``."""
_KEY: Final = re.compile(rf"[ -~]{{1,{MAX_KEY}}}")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as far as it is the same for all operations."""

    request: http.Request
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

    @property
    def if_match(self) -> str | None:
        """The header; several of the name count as one list, as with the next one."""
        return self.request.header(b"if-match")

    @property
    def if_none_match(self) -> str | None:
        """The header."""
        return self.request.header(b"if-none-match")


@dataclass(frozen=True, slots=True)
class Backend:
    """What there is to answer with."""

    endpoints: Endpoints
    tasks: BatchTasks
    reading: Reading
    once: Once
    """For requests that have an ``Idempotency-Key``."""
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

    @property
    def planner(self) -> Planner:
        """Makes commands, and judges them before their conditions and before anything is read."""
        return self.endpoints.planner

    async def change(
        self, call: Call, command: Command, show: Show = Show.NOTHING, key: str | None = None
    ) -> Outcome:
        """Carries out what the call asks of its endpoint, under its conditions. Raises a ``Refusal``.

        ``key``: of the endpoint's, the one that the conditions are about.
        """
        request = Request(command, call.correlation_id, call.if_match, call.if_none_match, key, show)
        return await self.endpoints.change(call.endpoint_id, request)


def shown_reply(outcome: Outcome) -> Reply:
    """What a change left; nothing where that has no JSON form."""
    return empty(etag=outcome.etag) if outcome.text is None else Reply(text=outcome.text, etag=outcome.etag)


def read_reply(call: Call, view: View, text: bytes | None) -> Reply:
    """A GET's answer, or 304 or 412 where its conditions say so (RFC 9110, 13.2.2).

    Raises ``Unusable`` where nothing can be shown.
    """
    if text is None:
        raise Unusable
    if call.if_match is not None and not strong_match(call.if_match, view.etag):
        raise PreconditionFailed
    if call.if_none_match is not None and weak_match(call.if_none_match, view.etag):
        return empty(HTTPStatus.NOT_MODIFIED, view.etag)
    return Reply(text=text, etag=view.etag)
