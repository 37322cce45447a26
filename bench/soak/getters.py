"""The load: gets at a steady rate over one connection to each server, every answer judged as it comes."""

from __future__ import annotations

import asyncio
import io
import random
import re
import time
from collections.abc import Sequence
from typing import Final

import fastavro

from bench.soak.endpoints import APP_VERSION, Endpoint
from bench.soak.judge import Judge
from bench.soak.line import Line
from kaa_epr import schemas
from kaa_epr.messages import subjects

TICK_SECONDS: Final = 0.005
LOST_AFTER: Final = 10.0
"""Seconds: an answer that takes longer counts as none."""
RANK: Final = 1 << 16
ECHO_AT: Final = 9
"""Offset of the endpoint ID: correlation ID ``s`` (2 bytes), a timestamp of our days (6), timeout 0 (1)."""
NUMBER: Final = b'{"n":'
TAIL: Final = b"\x90\x03\x00\x02" + bytes([len(APP_VERSION) * 2]) + APP_VERSION.encode()
"""Status 200, no reason, the application version: the end of every right answer."""
FRAME: Final = re.compile(
    rb"MSG _soak\.\d+\.(\d+) 1 (\d+)\r\n|HMSG _soak\.\d+\.(\d+) 1 \d+ (\d+)\r\n|(PING)\r\n|(PONG)\r\n"
    rb"|(?:INFO|\+OK|-ERR)[^\r]*\r\n"
)
RESPONSE: Final = fastavro.parse_schema(schemas.load("epmmp/0019-endpoint-metadata-get-response.rev3"))
Pending = dict[int, tuple[int, int, float]]
"""Number of a get to endpoint, floor when it was sent, and when that was."""


class Getter:
    """Gets over one connection, which goes to another server when its own is gone."""

    def __init__(
        self, servers: Sequence[str], instance: str, endpoints: Sequence[Endpoint], judge: Judge, name: int
    ) -> None:
        self._head = b"PUB %b _soak.%d." % (subjects.metadata_get_request(instance).encode(), name)
        self._gets = [endpoint.get for endpoint in endpoints]
        self._echoes = [endpoint.echo for endpoint in endpoints]
        self._order = random.Random(name).choices(range(len(endpoints)), k=RANK)
        self.judge = judge
        self._pending: Pending = {}
        self._sent = 0
        self._buffer = b""
        self.answered = 0
        self.line = Line(servers, self._take, b"SUB _soak.%d.* 1\r\n" % name)

    @property
    def waiting(self) -> int:
        """Gets under way."""
        return len(self._pending)

    def send(self, count: int) -> None:
        """So many gets, in one write; none while there is no connection."""
        if self.line.up:
            self.line.write(self.entered(count))

    def entered(self, count: int) -> bytes:
        """The frames of so many gets, which are waited for from now on."""
        now, floors = time.monotonic(), self.judge.acknowledged
        frames = []
        for number in range(self._sent, self._sent + count):
            endpoint = self._order[number % RANK]
            self._pending[number] = (endpoint, floors[endpoint], now)
            frames.append(b"%b%d%b" % (self._head, number, self._gets[endpoint]))
        self._sent += count
        return b"".join(frames)

    def sweep(self, older_than: float = LOST_AFTER) -> None:
        """Counts gets as lost that nobody answered in so many seconds."""
        moment = time.monotonic() - older_than
        while self._pending:
            number = next(iter(self._pending))  # in the order of sending
            sent = self._pending[number][2]
            if sent > moment:
                return
            del self._pending[number]
            self.judge.lost(sent)

    def _take(self, chunk: bytes) -> None:
        if chunk.startswith(b"INFO "):  # a new connection: what was half read belongs to the old one
            self._buffer = b""
        data = self._buffer + chunk if self._buffer else chunk
        at, size, match_at = 0, len(data), FRAME.match
        while found := match_at(data, at):
            number, length, refused, refused_length, ping, pong = found.groups()
            begin = found.end()
            if number is not None:
                end = begin + int(length)
                if end + 2 > size:
                    break
                self._answer(int(number), data[begin:end])
                begin = end + 2
            elif refused is not None:
                begin += int(refused_length) + 2
                if begin > size:
                    break
                if self._pending.pop(int(refused), None) is not None:
                    self.judge.now.refused += 1
            elif ping:
                self.line.ping()
            elif pong:
                self.line.pong()
            at = begin
        self._buffer = data[at:]

    def _answer(self, number: int, body: bytes) -> None:
        get = self._pending.pop(number, None)
        if get is None:
            return  # given up as lost before, and counted then
        endpoint, floor, sent = get
        self.answered += 1
        if not (body.endswith(TAIL) and body.startswith(self._echoes[endpoint], ECHO_AT)):
            self._other(endpoint, body)
            return
        begin = body.find(NUMBER) + len(NUMBER)
        said = int(body[begin : body.find(b",", begin)])
        if said < floor:
            self.judge.stale(endpoint, said, floor, sent)
        elif said > self.judge.attempted[endpoint]:
            self.judge.invented(endpoint, said)

    def _other(self, endpoint: int, body: bytes) -> None:
        try:
            answer = fastavro.schemaless_reader(io.BytesIO(body), RESPONSE, None)
        except (EOFError, ValueError, IndexError):
            self.judge.malformed(endpoint, body)
            return
        assert isinstance(answer, dict)
        if answer["statusCode"] == 200:
            self.judge.malformed(endpoint, body)
        else:
            self.judge.refused_with(answer["statusCode"])


class Load:
    """Getters that send so many gets a second, each its own rate, with at most ``window`` under way."""

    def __init__(self, getters: Sequence[Getter], rates: Sequence[float], window: int) -> None:
        self._getters = getters
        self._rates = rates
        self._window = window

    async def run(self) -> None:
        """Until cancelled. What a stall held back is not made up for beyond one window."""
        owed = [0.0] * len(self._getters)
        last = swept = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for which, getter in enumerate(self._getters):
                owed[which] = min(owed[which] + self._rates[which] * (now - last), self._window)
                count = min(int(owed[which]), self._window - getter.waiting)
                if count > 0 and getter.line.up:
                    getter.send(count)
                    owed[which] -= count
            last = now
            if now - swept > 0.5:
                swept = now
                for getter in self._getters:
                    getter.sweep()
