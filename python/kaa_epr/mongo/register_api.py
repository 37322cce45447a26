"""What the register asks of the store, beyond what responders do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from kaa_epr.mongo.api import Statement, Store, WriteOutcome
from kaa_epr.mongo.conditional import Claim


class Outbox(NamedTuple):
    """The events of one endpoint that are written and not known to be published."""

    endpoint_id: str
    owner: str | None
    """Replica that claimed them last."""
    claim: Mapping[str, Any] | None
    """Of whoever publishes them, as it is stored; None: there is none, or no document in its place."""
    events: tuple[Any, ...]
    """As they are stored, in order; each may be anything."""
    claim_broken: bool = False
    """What stands in the claim's place is none, and must go before the outbox can be claimed."""


class EndpointQuery(NamedTuple):
    """Which endpoints a list shows. None: any."""

    endpoint_id: str | None = None
    application: str | None = None
    application_version: str | None = None
    metadata: Mapping[str, Any] = {}
    """Keys and the values they must have, as MongoDB compares."""


class Piece(NamedTuple):
    """A part of a list."""

    documents: bytes
    """Raw, one behind the other."""
    whole: bool
    """Whether none was left out for its size."""


class RegisterStore(Store, Protocol):
    """Endpoint documents, their outboxes, and batch tasks. Times in seconds, errors as ``Store``'s."""

    async def current(self, ids: Sequence[str], time_limit: float) -> list[bytes]:
        """The documents of ``ids`` with all fields, outbox and claim included; raw, in batches.

        As the primary has them, be it not the majority yet: a conditional write decides anyway, and what the
        majority has lags behind an outbox that was cleared just now.
        """

    async def upsert(self, statements: Sequence[Statement], time_limit: float) -> WriteOutcome:
        """As ``write``, for statements that are BSON already."""

    async def outboxes(
        self, owner: str, expiry: float, limit: int, time_limit: float, skip: int = 0
    ) -> list[Outbox]:
        """Outboxes that ``owner`` may publish: its own, and those whose claim is older than ``expiry``.

        So are those whose claim is dated as far ahead, or not at all. The oldest claims first, ``skip`` of
        them left out.
        """

    async def remove_broken_claims(self, ids: Sequence[str], time_limit: float) -> int:
        """Takes away what stands in the place of a claim and is none; from how many outboxes."""

    async def backlog(self, time_limit: float) -> tuple[int, float]:
        """How many outboxes there are, counted to a limit, and the age of the oldest claim in seconds."""

    async def clear_outboxes(self, ids: Sequence[str], claims: Sequence[Claim], time_limit: float) -> None:
        """Empties the outboxes that were published under one of ``claims``, unless somebody took them over.

        Acknowledged by the primary alone: were it lost, the events would be published once more.
        """

    async def find_endpoints(
        self,
        query: EndpointQuery,
        *,
        after: str | None,
        offset: int,
        limit: int,
        with_metadata: bool,
        time_limit: float,
    ) -> Piece:
        """Raw documents in the order of their ids: ``limit``, or as many as fit into 16 MiB.

        They begin behind the id ``after`` (None: with the first) and leave out ``offset`` there. Lists,
        counts and keys have connections of their own, and wait for their turn within ``time_limit``; they
        raise ``StoreBusy`` where too many wait already.
        """

    async def count_endpoints(self, query: EndpointQuery, limit: int, time_limit: float) -> int:
        """How many endpoints ``query`` fits, counted to ``limit``."""

    async def metadata_keys(self, application: str, time_limit: float) -> bytes:
        """Raw documents ``{_id: {version, key}}``, each pair once, sorted.

        A version or key that is no string, or is missing, tells of an endpoint that cannot be shown whole.
        """

    async def purge_tombstones(self, retention: float, limit: int, time_limit: float) -> int:
        """Deletes up to ``limit`` tombstones, older than ``retention`` and without unpublished events."""

    async def claim_purge(self, interval: float, time_limit: float) -> bool:
        """Whether nobody has claimed the purge within ``interval``; it is the caller's then."""

    # --- requests with idempotency keys ---------------------------------------------------------------------
    async def ensure_requests(self, time_limit: float) -> None:
        """Makes what the collection of these requests needs."""

    async def reserve_request(
        self,
        request_id: str,
        fingerprint: str,
        proposed: Mapping[str, Any],
        claim_id: str,
        expiry: float,
        time_limit: float,
    ) -> Mapping[str, Any]:
        """The request's document, majority-committed; made now with ``proposed`` reserved if there was none.

        ``claim.id`` is ``claim_id`` if the caller is to carry it out: it is open, asks for the same, and
        nobody has claimed it within ``expiry`` seconds.
        """

    async def finish_request(
        self, request_id: str, claim_id: str, answer: Mapping[str, Any], time_limit: float
    ) -> None:
        """Keeps the answer, if the claim is still there."""

    async def release_request(self, request_id: str, claim_id: str, time_limit: float) -> None:
        """Gives the claim back."""

    async def forget_request(self, request_id: str, claim_id: str, time_limit: float) -> None:
        """Deletes the document, if the claim is still there."""

    # --- batch tasks ----------------------------------------------------------------------------------------
    async def ensure_tasks(self, time_limit: float) -> None:
        """Makes what the collection of tasks needs."""

    async def open_tasks(self, application: str, time_limit: float) -> tuple[int, int]:
        """How many are not finished: of the application, and of all."""

    async def add_task(self, task: Mapping[str, Any], time_limit: float) -> None:
        """Stores a new task, acknowledged by the majority."""

    async def task(self, task_id: str, time_limit: float) -> Mapping[str, Any] | None:
        """A task, or None. Its fields decode when they are asked for; sub-documents stay raw."""

    async def claim_task(self, owner: str, expiry: float, time_limit: float) -> Mapping[str, Any] | None:
        """Takes over an unfinished task without a claim, or with one older than ``expiry`` seconds."""

    async def versions(self, ids: Sequence[str], time_limit: float) -> dict[str, Any]:
        """The version, as it is stored, of those of ``ids`` that have a document; None: it has none."""

    async def begin_task(
        self, task_id: str, owner: str, versions: Sequence[int | None], time_limit: float
    ) -> bool:
        """Notes what the task's endpoints are before any is registered. False: noted before, or not ours."""

    async def renew_task(self, task_id: str, owner: str, time_limit: float) -> bool:
        """Keeps a claim alive for another attempt; False when it is somebody else's now."""

    async def note_progress(
        self, task_id: str, owner: str, settled: int, failed: Sequence[Mapping[str, Any]], time_limit: float
    ) -> bool:
        """The first ``settled`` endpoints are done, and of all those ``failed`` refused."""

    async def finish_task(
        self, task_id: str, owner: str, failed: Sequence[Mapping[str, Any]], time_limit: float
    ) -> bool:
        """Notes the outcome of a task that ``owner`` holds."""

    async def set_task_aside(self, task_id: Any, owner: str, time_limit: float) -> bool:
        """Takes a claimed document that is no task out of the open ones, and leaves it as it is."""
