"""``kaa-epr serve`` as a process of its own, and a requester that loses nothing."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from kaa_epr.messages import subjects
from tests.property.messages import Get
from tests.support.command import environment
from tests.support.waiting import DEADLINE


class Process:
    """The running command; its log lines are read as they come."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path) -> None:
        self._process = process
        self._reading = asyncio.get_running_loop().create_task(self._read())
        self._heard = asyncio.Condition()
        self.config_file = directory / "config.yaml"
        self.ready_file = directory / "ready.json"
        self.log: list[dict[str, Any]] = []
        self._ended = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ready(self) -> dict[str, Any]:
        """What the ready file says."""
        said: dict[str, Any] = json.loads(self.ready_file.read_text())
        return said

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            async with self._heard:
                try:
                    self.log.append(json.loads(line))
                except ValueError:
                    self.log.append({"event": line.decode()})
                self._heard.notify_all()
        async with self._heard:
            self._ended = True
            self._heard.notify_all()

    async def logged(self, event: str, times: int = 1) -> dict[str, Any]:
        """Waits until ``event`` was logged so many times; the last such line."""

        def lines() -> list[dict[str, Any]]:
            return [line for line in self.log if event in line.get("event", "")]

        try:
            async with asyncio.timeout(2 * DEADLINE), self._heard:
                await self._heard.wait_for(lambda: len(lines()) >= times or self._ended)
        except TimeoutError:
            raise AssertionError(f"not logged: {event!r}, but {self.log[-20:]}") from None
        assert len(lines()) >= times, f"ended without {event!r}: {self.log[-20:]}"
        return lines()[times - 1]

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self) -> int:
        """Waits for the end; the exit code."""
        code = await asyncio.wait_for(self._process.wait(), 2 * DEADLINE)
        await self._reading
        return code

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self._process.returncode is None:
            self.signal(signal.SIGTERM)
        return await self.end()


@asynccontextmanager
async def running(directory: Path, settings: dict[str, Any], *, ready: bool = True) -> AsyncIterator[Process]:
    """``kaa-epr serve`` with a configuration file, with ``ready`` once it says that it serves."""
    (directory / "config.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "kaa_epr", "serve", "--config", str(directory / "config.yaml")]
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--ready-file", str(directory / "ready.json")),
        env=environment(),
        stderr=asyncio.subprocess.PIPE,
    )
    service = Process(process, directory)
    try:
        if ready:
            await service.logged("serving")
        yield service
    finally:
        if process.returncode is None:
            process.kill()
        await service.end()


_FRAME = re.compile(
    rb"(MSG|HMSG) \S+ 1(?: (\d+))? (\d+)\r\n|(PING)\r\n|(?:INFO|PONG|\+OK)[^\r]*\r\n|(-ERR[^\r]*)"
)


class Flood:
    """Keeps ``window`` gets on their way over one plain connection, and knows what became of each.

    The server says at once when nobody took a request (no responders), so every other one was delivered to a
    responder and must be answered.
    """

    def __init__(self, instance: str, ids: Callable[[int], str], window: int = 256) -> None:
        self._subject = subjects.metadata_get_request(instance)
        self._ids = ids
        self._window = window
        self.sent = self.answered = self.refused = 0
        self.not_200 = 0
        self._stopping = False
        self._moved = asyncio.Event()

    async def open(self, url: str) -> None:
        """Connects."""
        address = urlsplit(url)
        self._reader, self._writer = await asyncio.open_connection(address.hostname, address.port)
        self._writer.write(
            b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB flood.x 1\r\n'
        )
        await self._writer.drain()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def _fill(self) -> None:
        frames = []
        while not self._stopping and self.sent - self.answered - self.refused < self._window:
            payload = Get(endpoint_id=self._ids(self.sent)).encode()
            frames.append(f"PUB {self._subject} flood.x {len(payload)}\r\n".encode() + payload + b"\r\n")
            self.sent += 1
        self._writer.write(b"".join(frames))

    async def _run(self) -> None:
        buffer = bytearray()
        self._fill()
        while not (self._stopping and self.sent == self.answered + self.refused):
            data = await self._reader.read(1 << 18)
            if not data:
                return
            buffer += data
            self._take(buffer)
            self._moved.set()
            self._fill()

    def _take(self, buffer: bytearray) -> None:
        at = 0
        while match := _FRAME.match(buffer, at):
            kind, headers, total, ping, error = match.groups()
            assert error is None, error
            if ping:
                self._writer.write(b"PONG\r\n")
            if kind is None:
                at = match.end()
                continue
            end = match.end() + int(total)
            if len(buffer) < end + 2:
                break
            body = bytes(buffer[match.end() : end])
            at = end + 2
            if headers and body.startswith(b"NATS/1.0 503"):
                self.refused += 1
            else:
                self.answered += 1
                # The status code 200 is the varint 90 03; it stands in front of the reason phrase.
                self.not_200 += b"\x90\x03\x00" not in body
        del buffer[:at]

    async def more(self, answers: int) -> None:
        """Until so many more are answered."""
        goal = self.answered + answers
        async with asyncio.timeout(2 * DEADLINE):
            while self.answered < goal:
                self._moved.clear()
                await self._moved.wait()

    async def finish(self) -> None:
        """Sends no more and waits for the last answer; fails if one stays away."""
        self._stopping = True
        try:
            await asyncio.wait_for(self._task, DEADLINE)
        except TimeoutError:
            lost = self.sent - self.answered - self.refused
            raise AssertionError(f"{lost} of {self.sent} gets lost") from None
        finally:
            self._writer.close()


@asynccontextmanager
async def flooding(
    url: str, instance: str, ids: Callable[[int], str], window: int = 256
) -> AsyncIterator[Flood]:
    """Load that has begun; at the end every get is accounted for."""
    flood = Flood(instance, ids, window)
    await flood.open(url)
    await flood.more(1)
    yield flood
    await flood.finish()
