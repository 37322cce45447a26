"""One question: a get of revision 3 over NATS, answered once or not at all."""

from __future__ import annotations

from kaa_epr.client import (
    ClientError,
    ConnectionFailed,
    EndpointNotFound,
    EpmmpClient,
    NoResponders,
    RepositoryUnavailable,
    RequestTimeout,
    StatusError,
)
from kaa_epr.client.result import EndpointMetadata
from kaa_epr.log import Repeats, get_logger
from kaa_epr.observer.counts import Counts, Reply
from kaa_epr.observer.judging import UNKNOWN, UNUSABLE, State, found

_UNUSABLE_REASON = "Stored endpoint is unusable"

_log = get_logger(__name__)


class Asker:
    """Asks, and counts what comes. The client repeats nothing: every question has a time of its own."""

    def __init__(self, client: EpmmpClient, counts: Counts) -> None:
        self._client = client
        self._counts = counts
        self._repeats = Repeats()

    async def ask(self, endpoint_id: str) -> State | Reply:
        """The endpoint's state, or why there is none."""
        self._counts.questions += 1
        try:
            answer = await self._client.get(endpoint_id)
        except ClientError as error:
            outcome = self._failed(endpoint_id, error)
        else:
            outcome = _state(answer)
        self._counts.replies[_reply(outcome)] += 1
        return outcome

    def _failed(self, endpoint_id: str, error: ClientError) -> State | Reply:
        if isinstance(error, EndpointNotFound):
            return State(UNKNOWN)
        if isinstance(error, NoResponders | RequestTimeout | ConnectionFailed):
            return Reply.NONE
        if isinstance(error, RepositoryUnavailable):
            return Reply.UNAVAILABLE
        if isinstance(error, StatusError) and error.reason == _UNUSABLE_REASON:
            return State(UNUSABLE)
        self._repeats.warning(_log, "a get was refused", endpoint_id=endpoint_id, error=str(error))
        return Reply.OTHER

    async def close(self) -> None:
        """Ends the client."""
        await self._client.close()


def _state(answer: EndpointMetadata) -> State:
    return found(answer.payload or b"", answer.etag, answer.app_version_name)


def _reply(outcome: State | Reply) -> Reply:
    if isinstance(outcome, Reply):
        return outcome
    return {UNKNOWN: Reply.UNKNOWN, UNUSABLE: Reply.OTHER}.get(outcome.status, Reply.FOUND)
