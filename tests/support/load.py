"""Gets at a steady rate, every one of them judged."""

from __future__ import annotations

import asyncio
import random
import re
import secrets
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from kaa_epr.messages import subjects
from tests.property.messages import long, string
from tests.support.frames import Item
from tests.support.judge import OK, Answer, Judge
from tests.support.raw_nats import Lost, RawNats

TICK: Final = 0.01
"""Seconds between two batches of gets."""
GET_TIMEOUT: Final = 10.0
"""Seconds after which a get counts as unanswered, where the test does not say otherwise: more than a service
takes on a busy machine that answers 503 after 2."""
RETRY: Final = 0.05
"""Seconds between attempts to connect."""
REMEMBERED: Final = 65_536
"""Gets answered or given up lately, by which a second answer is told from one that never was asked for."""
_COUNTER: Final = re.compile(rb'"n":(-?\d+)')
_NOBODY: Final = b"NATS/1.0 503"


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint and where it ends."""
    shift = raw = 0
    while True:
        byte = data[at]
        at += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (raw >> 1) ^ -(raw & 1), at
        shift += 7


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_varint(data, at)
    return data[at : at + size], at + size


def _read_optional(data: bytes, at: int) -> tuple[bytes | None, int]:
    return _read_bytes(data, at + 1) if data[at] else (None, at + 1)


def read_answer(data: bytes) -> tuple[bytes, Answer]:
    """The correlation id and what the judge needs, of a get response of revision 3."""
    correlation_id, at = _read_bytes(data, 0)
    _, at = read_varint(data, at)
    _, at = read_varint(data, at)
    _, at = _read_bytes(data, at)
    tag, at = _read_optional(data, at)
    payload, at = _read_optional(data, at)
    status, at = read_varint(data, at)
    reason = None if status == OK else _read_optional(data, at)[0]
    found = _COUNTER.search(payload) if status == OK and payload is not None else None
    return correlation_id, Answer(
        status,
        int(found[1]) if found else None,
        None if tag is None else tag.decode(),
        "" if reason is None else reason.decode(),
    )


class Getter:
    """One connection that asks one instance; it connects again whenever it is lost.

    ``hot`` endpoints are asked for before any other: those whose write was just acknowledged. ``replica``
    names the process when no other serves the instance. At most ``window`` gets are on their way; beyond
    that nothing is sent until answers come.
    """

    def __init__(
        self,
        judge: Judge,
        instance: str,
        urls: Sequence[str],
        *,
        rate: float = 500.0,
        window: int = 512,
        patience: float = GET_TIMEOUT,
        rng: random.Random | None = None,
        replica: str | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self._judge = judge
        self._urls = list(urls)
        self._rate = rate
        self._window = window
        self._patience = patience
        self._rng = rng or random.Random(0)
        self._replica = replica
        self._options = options
        self._inbox = f"load.{secrets.token_hex(6)}"
        history = judge.history
        self._ids = [*history.endpoints, *sorted(history.unknown)]
        self._head = f"PUB {subjects.metadata_get_request(instance)} {self._inbox}.".encode()
        self._tails = {name: long(0) + string(name) + b"\0\1" for name in self._ids}
        self.hot: deque[str] = deque(maxlen=4096)
        self.sent = 0
        self.connects = 0
        self._waiting: dict[bytes, tuple[str, int]] = {}
        self._past: dict[bytes, bool] = {}
        """Whether a get that is not waited for any more was answered."""
        self._due = 0.0
        self._paused = False
        self._stopping = asyncio.Event()
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # --- life -----------------------------------------------------------------------------------------------
    async def start(self) -> None:
        """Returns when the first get is answered."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        await self.more(1)

    async def stop(self) -> None:
        """Sends no more, waits for the last answers, and hands those that stay away to the judge."""
        self._paused = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                while self._waiting:
                    await self._next_move()
        self._stopping.set()
        if self._task is not None:
            await self._task
        self._give_up(0, "timed out")

    async def more(self, answers: int, seconds: float = 30.0) -> None:
        """Until so many more gets are answered (or given up)."""
        report = self._judge.report
        goal = report.answered + answers
        async with asyncio.timeout(seconds):
            while report.answered < goal:
                if self._task is not None and self._task.done():
                    self._task.result()
                await self._next_move()

    async def _next_move(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    async def _run(self) -> None:
        turn = 0
        while not self._stopping.is_set():
            url = self._urls[turn % len(self._urls)]
            turn += 1
            try:
                connection = await RawNats.connected(url, self._options)
            except (OSError, TimeoutError):
                await self._stopped_within(RETRY)
                continue
            try:
                await self._use(connection)
            except Lost:
                self._give_up(0, "connection lost")
                self._moved.set()
            finally:
                connection.close()

    async def _use(self, connection: RawNats) -> None:
        connection.subscribe(f"{self._inbox}.*", self._take)
        await connection.round_trip()
        self.connects += 1
        last = time.monotonic()
        while not await self._stopped_within(TICK):
            now = time.monotonic()
            self._due = min(self._due + self._rate * (now - last), 2 * self._rate * TICK + 1)
            last = now
            self._give_up(self._patience, "timed out")
            self._send(connection)
            self._moved.set()

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    # --- gets -----------------------------------------------------------------------------------------------
    def _send(self, connection: RawNats) -> None:
        frames = []
        stamp = long(time.time_ns() // 1_000_000)
        now = time.monotonic_ns()
        while self._due >= 1 and len(self._waiting) < self._window and not self._paused:
            self._due -= 1
            name = self.hot.popleft() if self.hot else self._rng.choice(self._ids)
            correlation_id = b"%08x" % self.sent
            self.sent += 1
            self._waiting[correlation_id] = (name, now)
            payload = b"\x10" + correlation_id + stamp + self._tails[name]
            frames.append(b"%b%b %d\r\n%b\r\n" % (self._head, correlation_id, len(payload), payload))
        connection.write(b"".join(frames))

    def _take(self, item: Item) -> None:
        if item.headers.startswith(_NOBODY):
            correlation_id = item.subject.rpartition(".")[2].encode()
            if (refused := self._waiting.pop(correlation_id, None)) is not None:
                self._remember(correlation_id, answered=True)
                self._judge.unanswered(*refused, "no responders")
            return
        correlation_id, answer = read_answer(item.payload)
        asked = self._waiting.pop(correlation_id, None)
        if asked is None:
            self._judge_unasked(correlation_id)
            return
        self._remember(correlation_id, answered=True)
        self._judge.answer(*asked, answer, self._replica)

    def _judge_unasked(self, correlation_id: bytes) -> None:
        if self._past.get(correlation_id, True):
            self._judge.twice(f"get {correlation_id.decode()}")
        else:
            self._remember(correlation_id, answered=True)

    def _remember(self, correlation_id: bytes, *, answered: bool) -> None:
        self._past[correlation_id] = answered
        if len(self._past) > REMEMBERED:
            del self._past[next(iter(self._past))]

    def _give_up(self, older_than: float, reason: str) -> None:
        limit = time.monotonic_ns() - round(older_than * 1e9)
        while self._waiting:
            correlation_id = next(iter(self._waiting))
            name, sent = self._waiting[correlation_id]
            if sent > limit:
                return
            del self._waiting[correlation_id]
            self._remember(correlation_id, answered=False)
            self._judge.unanswered(name, sent, reason)
