"""Gets in flight and the answers that find their way to them. No I/O here.

Every attempt has a correlationId of its own, ``{get id}.{attempt}``, so that answers cannot be taken for one
another. An answer to *any* attempt of a get that still waits ends it: whichever it was, the repository read
the endpoint after the get had begun. Only a 503 counts for the newest attempt alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kaa_epr.client.codec import Answer
from kaa_epr.client.errors import ClientClosed, ClientError, ProtocolViolation, TooManyRequests

UNAVAILABLE: Final = 503


@dataclass(slots=True)
class ClientStats:
    """Counters since the client was made."""

    gets: int = 0
    attempts: int = 0
    answers: int = 0
    """Answers that ended a get, and 503s that ended an attempt."""
    late_answers: int = 0
    """Answers to attempts of gets that had ended, second answers to one, and 503s to attempts given up."""
    foreign_answers: int = 0
    """Messages on our subject that answer nothing this client ever asked."""
    undecodable_answers: int = 0
    no_responders: int = 0
    links_lost: int = 0


class Cause(Enum):
    """Why an attempt came to nothing."""

    SILENCE = "silence"
    UNAVAILABLE = "unavailable"
    NO_RESPONDERS = "no responders"
    LINK_LOST = "link lost"


@dataclass(frozen=True, slots=True)
class Setback:
    """The end of an attempt, though not of its get."""

    cause: Cause
    reason: str | None = None


_SILENCE: Final = Setback(Cause.SILENCE)


class Call:
    """One get and its attempts."""

    __slots__ = (
        "_error",
        "_get_id",
        "_loop",
        "_setback",
        "_wake",
        "answer",
        "attempt",
        "correlation_id",
        "endpoint_id",
        "waiting",
    )

    def __init__(self, endpoint_id: str, own_id: str, correlation_id: str | None) -> None:
        self.endpoint_id = endpoint_id
        self.correlation_id = correlation_id or own_id
        """What results and errors show; every correlationId of the get begins with it."""
        self._get_id = f"{correlation_id}-{own_id}" if correlation_id else own_id
        self.attempt = 0
        self.waiting = False
        """Whether the newest attempt still waits (not while pausing before the next)."""
        self.answer: Answer | None = None
        self._setback: Setback | None = None
        self._error: ClientError | None = None
        self._loop = asyncio.get_running_loop()
        self._wake: asyncio.Future[None] | None = None

    def attempt_id(self, attempt: int) -> str:
        """The correlationId of one attempt."""
        return f"{self._get_id}.{attempt}"

    async def wait(self, until: float) -> Answer | Setback:
        """The answer, or what ended the attempt: silence when the loop's clock reaches ``until``."""
        if self.answer is None and self._error is None and self._setback is None:
            self._wake = self._loop.create_future()
            timer = self._loop.call_at(until, self._wake_up)
            try:
                await self._wake
            finally:
                timer.cancel()
                self._wake = None
        if self._error is not None:
            raise self._error
        if self.answer is not None:
            return self.answer
        setback, self._setback = self._setback or _SILENCE, None
        self.waiting = False
        return setback

    async def pause(self, until: float) -> Answer | Setback:
        """As ``wait``, between two attempts: only the answer to an earlier one ends it before ``until``."""
        self.waiting = False
        self._setback = None
        return await self.wait(until)

    def end(self, answer: Answer) -> None:
        """The get has its answer."""
        self.answer = answer
        self._wake_up()

    def set_back(self, setback: Setback) -> None:
        """The newest attempt has failed."""
        self._setback = setback
        self._wake_up()

    def fail(self, error: ClientError) -> None:
        """The get has failed."""
        self._error = error
        self._wake_up()

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class Calls:
    """The bounded table of gets in flight. A get has one entry per attempt, so its size is bounded too."""

    def __init__(self, limit: int, nonce: str) -> None:
        """``nonce`` is unique to the client, so that ids of an earlier process never match."""
        self.stats = ClientStats()
        self._limit = limit
        self._nonce = nonce
        self._number = 0
        self._open: set[Call] = set()
        self._attempts: dict[str, tuple[Call, int]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, endpoint_id: str, correlation_id: str | None) -> Call:
        """A new get; raises ``TooManyRequests`` when the table is full."""
        if len(self._open) >= self._limit:
            raise TooManyRequests(self._limit)
        self._number += 1
        self.stats.gets += 1
        call = Call(endpoint_id, f"{self._nonce}-{self._number}", correlation_id)
        self._open.add(call)
        return call

    def begin_attempt(self, call: Call) -> str:
        """The correlationId of the next attempt of ``call``, which waits from now on."""
        call.attempt += 1
        call.waiting = True
        self.stats.attempts += 1
        attempt_id = call.attempt_id(call.attempt)
        self._attempts[attempt_id] = (call, call.attempt)
        return attempt_id

    def close(self, call: Call) -> None:
        """``call`` has ended, in whatever way; answers that come now are late."""
        self._open.discard(call)
        for attempt in range(1, call.attempt + 1):
            self._attempts.pop(call.attempt_id(attempt), None)

    def deliver(self, answer: Answer) -> None:
        """An answer came in."""
        found = self._find(answer.correlation_id)
        if found is None:
            return
        call, attempt = found
        if answer.status == UNAVAILABLE:
            if attempt != call.attempt or not call.waiting:
                self.stats.late_answers += 1
                return
            self.stats.answers += 1
            call.set_back(Setback(Cause.UNAVAILABLE, answer.reason))
            return
        self.stats.answers += 1
        call.end(answer)

    def violate(self, correlation_id: str | None, violation: str) -> None:
        """A message came in that is no answer; ``correlation_id`` is what could be read of it."""
        self.stats.undecodable_answers += 1
        found = self._attempts.get(correlation_id) if correlation_id is not None else None
        if found is not None and found[0].answer is None:
            call, _ = found
            call.fail(ProtocolViolation(call.endpoint_id, call.correlation_id, violation))

    def endpoint_of(self, correlation_id: str) -> str | None:
        """The endpoint that an attempt asked for; None when there is no such attempt."""
        found = self._attempts.get(correlation_id)
        return found[0].endpoint_id if found is not None else None

    def no_responders(self) -> None:
        """NATS found nobody for one of our requests.

        Its status message names none of them, as all share one replyTo. But they share the subject that
        nobody listens to as well, so every attempt that waits had better try again; an answer that is on its
        way nevertheless still counts.
        """
        self.stats.no_responders += 1
        self._set_back_all(Setback(Cause.NO_RESPONDERS))

    def link_lost(self) -> None:
        """The connection was lost and is back, or is gone for good; requests and answers went with it."""
        self.stats.links_lost += 1
        self._set_back_all(Setback(Cause.LINK_LOST))

    def fail_all(self, what: str) -> None:
        """Ends every get: ``what`` is closed."""
        for call in self._open:
            call.fail(ClientClosed(what))

    def _set_back_all(self, setback: Setback) -> None:
        for call in self._open:
            if call.waiting:
                call.set_back(setback)

    def _find(self, correlation_id: str) -> tuple[Call, int] | None:
        """The attempt of an answer; None, and counted, when it ends nothing."""
        found = self._attempts.get(correlation_id)
        if found is not None and found[0].answer is None:
            return found
        if found is not None or self._nonce in correlation_id:
            self.stats.late_answers += 1
        else:
            self.stats.foreign_answers += 1
        return None
