"""Registrations that are asked for again: carried out once, and answered alike each time.

A key that a client chose stands for one request. Before anything is registered, ID and token are fixed and
stored with the key (reserved), together with the version that the endpoint had. Whoever carries the request
out again, after whatever became of the first try, does so with the same ID and token and on that version
only, and the endpoint says which request registered it. So there is never a second endpoint, nor one
registered again that was deleted meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from kaa_epr.mongo.errors import StoreError
from kaa_epr.mongo.idempotency import DONE
from kaa_epr.refusals import InternalError, Refusal, Stored, Superseded, Unavailable, store_unavailable
from kaa_epr.register.batches.records import NewEndpoint
from kaa_epr.register.batches.working import version_number
from kaa_epr.register.decide.api import OnlyAt, Outcome, Request
from kaa_epr.register.endpoints import Endpoints, Registration
from kaa_epr.register.tasks import BatchTasks

_EXPIRY: Final = 15.0
"""Seconds after which a claim is another's to take. Were its owner alive, nothing would be done twice."""
_LONG: Final = 256 * 1024
"""Bytes; the hash of more is made beside the event loop."""


class KeyReused(Refusal):
    """The key stands for another request."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    text = "Idempotency-Key: was used with another request"


class UnderWay(Refusal):
    """The first request with the key has not ended."""

    status = HTTPStatus.CONFLICT
    text = "Idempotency-Key: the first request with it is still under way"


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request that its caller gave a key."""

    caller: str | None
    """Whose keys are nobody else's; None: all who need no token."""
    key: str
    operation: str
    content: bytes
    """The body as it came: only the same bytes are the same request."""

    @property
    def id(self) -> str:
        """Of the key and its caller, in 64 characters."""
        return hashlib.sha256(json.dumps([self.caller, self.key]).encode()).hexdigest()

    async def fingerprint(self) -> str:
        """Of what is asked."""
        if len(self.content) < _LONG:
            return self._hash()
        return await asyncio.to_thread(self._hash)

    def _hash(self) -> str:
        return hashlib.sha256(self.operation.encode() + b"\0" + self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Registered:
    """An endpoint, as its registration is answered."""

    endpoint_id: str
    token: str
    etag: str | None
    replayed: bool
    """Whether an earlier request registered it."""


@dataclass(frozen=True, slots=True)
class _Reservation:
    request_id: str
    claim_id: str
    reserved: Mapping[str, Any]
    answer: Mapping[str, Any] | None
    fresh: bool
    """Nobody tried before."""
    age: float
    """Seconds since the key was used first."""


class Once:
    """Carries out requests that have keys."""

    def __init__(self, endpoints: Endpoints, tasks: BatchTasks, seconds: float, retention: float) -> None:
        """``seconds``: for each step with the store. ``retention``: of tombstones; 0: for ever."""
        self._endpoints = endpoints
        self._store = endpoints.store
        self._tasks = tasks
        self._seconds = seconds
        # Tombstones tell what was deleted meanwhile; after that nobody knows.
        self._too_old = retention / 2 if retention else float("inf")

    async def register(
        self, request: KeyedRequest, new: Registration, endpoint_id: str | None, correlation_id: str
    ) -> Registered:
        """Registers one endpoint; ``endpoint_id``: None has one made. Raises a ``Refusal``."""
        version = None if endpoint_id is None else await self._version(endpoint_id)
        proposed = {
            "endpointId": endpoint_id or _new_id(),
            "token": new.endpoint_token,
            "version": version,
        }
        async with self._reserved(request, proposed) as reservation:
            if reservation.answer is not None:
                return Registered(**reservation.answer, replayed=True)
            outcome = await self._carry_out(reservation, new, correlation_id)
            reserved = reservation.reserved
            answer = {
                "endpoint_id": reserved["endpointId"],
                "token": reserved["token"],
                "etag": outcome.etag,
            }
            await self._finish(reservation, answer)
            return Registered(**answer, replayed=not outcome.changed)

    async def _version(self, endpoint_id: str) -> int | None:
        try:
            found = await self._store.versions([endpoint_id], self._seconds)
        except StoreError:
            raise store_unavailable() from None
        return version_number(found.get(endpoint_id))

    async def _carry_out(self, reservation: _Reservation, new: Registration, correlation_id: str) -> Outcome:
        if reservation.age > self._too_old:
            raise Superseded
        reserved = reservation.reserved
        endpoint_id = reserved["endpointId"]
        mine = new._replace(endpoint_token=reserved["token"])
        command = mine.command(self._endpoints.planner, f"request {reservation.request_id}")
        request = Request(command, correlation_id, only_at=OnlyAt(reserved["version"]))
        outcome = (await self._endpoints.change_all({endpoint_id: request}))[endpoint_id]
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    async def accept(
        self,
        request: KeyedRequest,
        application: str,
        application_version: str,
        endpoints: list[NewEndpoint],
        correlation_id: str,
    ) -> tuple[str, bool]:
        """Accepts a batch; its task's ID, and whether an earlier request had it accepted."""
        async with self._reserved(request, {"taskId": secrets.token_hex(16)}) as reservation:
            task_id: str = reservation.reserved["taskId"]
            if reservation.answer is not None:
                return task_id, True
            # The task's document has IDs and tokens, and its ID is fixed: there is one, or there is none.
            known = not reservation.fresh and await self._tasks.is_known(task_id)
            if not known:
                try:
                    await self._tasks.accept(
                        application, application_version, endpoints, correlation_id, task_id
                    )
                except Unavailable:
                    known = await self._is_there_after_all(task_id)
                    if not known:
                        raise
            await self._finish(reservation, {"task_id": task_id})
            return task_id, known

    async def _is_there_after_all(self, task_id: str) -> bool:
        """Stored by somebody who was paused, or by a write whose answer was lost."""
        try:
            return await self._tasks.is_known(task_id)
        except Unavailable:
            return False

    # --- reservations ---------------------------------------------------------------------------------------
    @asynccontextmanager
    async def _reserved(
        self, request: KeyedRequest, proposed: Mapping[str, Any]
    ) -> AsyncIterator[_Reservation]:
        """What is reserved for the request; given back if it is refused meanwhile."""
        reservation = await self._reserve(request, proposed)
        try:
            yield reservation
        except Refusal as refusal:
            if not reservation.fresh and isinstance(refusal, Unavailable) and refusal.stored is Stored.NO:
                # By this try; what became of the one before is not known.
                refusal = Unavailable(refusal.reason, Stored.UNKNOWN, refusal.version)
            # What nobody tried before and was refused for good has no outcome that a key would have to keep.
            open_ = isinstance(refusal, Unavailable | InternalError | Superseded)
            with contextlib.suppress(StoreError):  # then the claim expires
                if reservation.fresh and not open_:
                    await self._store.forget_request(
                        reservation.request_id, reservation.claim_id, self._seconds
                    )
                else:
                    await self._store.release_request(
                        reservation.request_id, reservation.claim_id, self._seconds
                    )
            raise refusal from None

    async def _reserve(self, request: KeyedRequest, proposed: Mapping[str, Any]) -> _Reservation:
        claim_id = secrets.token_hex(8)
        fingerprint = await request.fingerprint()
        try:
            document = await self._store.reserve_request(
                request.id, fingerprint, proposed, claim_id, _EXPIRY, self._seconds
            )
        except StoreError:
            raise store_unavailable() from None
        if document["fingerprint"] != fingerprint:
            raise KeyReused
        claim = document.get("claim")
        if document["state"] == DONE:
            return _Reservation(request.id, claim_id, document["reserved"], document["answer"], False, 0.0)
        if claim is None or claim["id"] != claim_id:
            raise UnderWay
        return _Reservation(
            request.id,
            claim_id,
            document["reserved"],
            None,
            fresh=document["reserved_by"] == claim_id,
            age=(claim["at"] - document["reserved_at"]).total_seconds(),
        )

    async def _finish(self, reservation: _Reservation, answer: Mapping[str, Any]) -> None:
        # What is registered says which request did it: were this lost, another try would find that out.
        with contextlib.suppress(StoreError):
            await self._store.finish_request(
                reservation.request_id, reservation.claim_id, answer, self._seconds
            )


def _new_id() -> str:
    return str(uuid.uuid4())
