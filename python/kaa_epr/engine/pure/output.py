"""Answers on their way out: to the live connection, or held in bounds while there is none."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from kaa_epr.engine.pure.frames import publish


@dataclass(frozen=True, slots=True)
class Frame:
    """One answer, ready but for its framing. ``deadline_ms`` is the request's, Unix time."""

    subject: bytes
    headers: bytes
    payload: bytes
    deadline_ms: int | None

    @property
    def total(self) -> int:
        """Bytes that the server compares with its ``max_payload``."""
        return len(self.headers) + len(self.payload)

    @property
    def wire(self) -> bytes:
        """The frame as it is written."""
        return publish(self.subject, self.headers, self.payload)


@dataclass(frozen=True, slots=True)
class _Held:
    frame: Frame
    size: int
    until_ms: int

    def passed(self, wall_ms: int, mono_ms: int) -> bool:
        deadline = self.frame.deadline_ms
        return mono_ms >= self.until_ms or (deadline is not None and wall_ms > deadline)


class Output:
    """Frames for the connection; ``up`` says whether there is one."""

    def __init__(self, max_held_bytes: int, held_max_age_ms: int) -> None:
        self._max_held_bytes = max_held_bytes
        self._held_max_age_ms = held_max_age_ms
        self._ready: list[bytes] = []
        self._held: deque[_Held] = deque()
        self.up = False
        self.held_bytes = 0
        self.dropped = 0
        """Held answers that were not sent, since the start."""

    def link_up(self, *, max_payload: int, headers: bool, wall_ms: int, mono_ms: int) -> None:
        """A connection is up: what was held, is in time and fits this server becomes ready.

        A server closes the connection over a frame beyond its limits, so what another server would have
        taken is dropped.
        """
        self.up = True
        self._ready.clear()
        self.tick(wall_ms, mono_ms)
        for held in self._held:
            frame = held.frame
            if frame.total <= max_payload and (headers or not frame.headers):
                self._ready.append(frame.wire)
            else:
                self.dropped += 1
        self._held.clear()
        self.held_bytes = 0

    def link_down(self) -> None:
        """The connection is gone, and with it what was ready for it."""
        self.up = False
        self._ready.clear()

    def add(self, frame: Frame, mono_ms: int) -> None:
        """One answer: ready, or held until a connection is up. The oldest held make room for it."""
        wire = frame.wire
        if self.up:
            self._ready.append(wire)
            return
        if len(wire) > self._max_held_bytes:
            self.dropped += 1
            return
        while self.held_bytes + len(wire) > self._max_held_bytes:
            self._drop(self._held.popleft())
        self._held.append(_Held(frame, len(wire), mono_ms + self._held_max_age_ms))
        self.held_bytes += len(wire)

    def tick(self, wall_ms: int, mono_ms: int) -> None:
        """Drops held answers whose time has passed."""
        kept: deque[_Held] = deque()
        for held in self._held:
            if held.passed(wall_ms, mono_ms):
                self._drop(held)
            else:
                kept.append(held)
        self._held = kept

    def take(self) -> bytes:
        """What is ready; it is the caller's now."""
        ready = b"".join(self._ready)
        self._ready.clear()
        return ready

    def _drop(self, held: _Held) -> None:
        self.held_bytes -= held.size
        self.dropped += 1
