"""Rule 5: who publishes, how far its numbers went, and whether it is still heard (``schemas/coherence/``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from kaa_epr.engine.api import FlushCause
from kaa_epr.engine.pure.limits import MAX_WRITER_ID, MAX_WRITERS

_WRITER: Final = re.compile(rb"[A-Za-z0-9._~-]{1,%d}" % MAX_WRITER_ID)
_SEQ: Final = re.compile(rb"[0-9]{1,18}")
_VERSION: Final = re.compile(rb"[+-]?[0-9]+")


class Signal(Enum):
    """What a numbered message is."""

    EVENT = auto()
    HEARTBEAT = auto()
    GOODBYE = auto()


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message's place among those of its writer."""

    writer: bytes
    seq: int
    signal: Signal

    @property
    def before(self) -> int:
        """How many events its writer had published before it."""
        return self.seq - (self.signal is Signal.EVENT)


def numbered(writer: bytes | None, seq: bytes | None, signal: Signal) -> Numbered | None:
    """Reads the values of the headers; None when they are not as ``schemas/coherence/`` has them."""
    if writer is None or seq is None or not _WRITER.fullmatch(writer) or not _SEQ.fullmatch(seq):
        return None
    number = int(seq)
    return Numbered(writer, number, signal) if number or signal is not Signal.EVENT else None


def version_of(value: bytes | None) -> int | None:
    """The version that an event's header tells; None when it is no int64."""
    if value is None or not _VERSION.fullmatch(value):
        return None
    number = int(value)
    return number if -(2**63) <= number < 2**63 else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a message, or the want of one, came to."""

    flush: FlushCause | None = None
    lost: int = 0
    """Events that are known to be missing."""
    late: bool = False
    """A duplicate, or overtaken by a later one."""


_FINE: Final = Verdict()
_UNHEARD: Final = Verdict(flush=FlushCause.HOLE)


class _State(Enum):
    IN_SEQUENCE = auto()
    HOLE = auto()
    """Numbers are missing, and nothing was in sequence since."""
    SILENT = auto()
    LEFT = auto()
    """It said goodbye; kept so that what it said before and comes late is not taken for a new writer."""


_ALIVE: Final = (_State.IN_SEQUENCE, _State.HOLE)


@dataclass(slots=True)
class _Writer:
    state: _State
    last: int
    """Number of the last event heard of."""
    heard_ms: int
    heard_here: bool = True
    """Heard on this connection."""
    awaited: bool = False
    """Known when this connection was made and not heard since."""


class Writers:
    """All writers that are known. All times are monotonic milliseconds."""

    def __init__(self, silence_ms: int, forget_ms: int) -> None:
        self._silence_ms = silence_ms
        self._forget_ms = forget_ms
        self._table: dict[bytes, _Writer] = {}
        self._known_before = False
        self._crowded_until_ms: int | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is known to be missing, and nobody is missed."""
        unsound = any(each.state in (_State.SILENT, _State.HOLE) for each in self._table.values())
        return not unsound and self._crowded_until_ms is None

    @property
    def all_heard(self) -> bool:
        """Whether there were writers when the connection was made, and all of them were heard since."""
        return self._known_before and not any(each.awaited for each in self._table.values())

    def connected(self) -> None:
        """A connection was made: its server is not known to bring anybody's messages."""
        for writer in self._table.values():
            writer.heard_here = False
            writer.awaited = writer.state is not _State.LEFT
        self._known_before = any(writer.awaited for writer in self._table.values())

    def listening(self, mono_ms: int) -> None:
        """The subscriptions are confirmed: from now on silence counts."""
        for writer in self._table.values():
            if writer.state in _ALIVE:
                writer.state, writer.heard_ms = _State.IN_SEQUENCE, mono_ms

    def hear(self, message: Numbered, mono_ms: int) -> Verdict:
        """A numbered message came."""
        writer = self._table.get(message.writer)
        if writer is None:
            return self._meet(message, mono_ms)
        lost = message.before - writer.last
        if lost < 0:
            return Verdict(late=True)
        heard_here = writer.heard_here
        if writer.state is _State.LEFT or message.signal is Signal.GOODBYE:
            writer.state = _State.LEFT
        else:
            writer.state = _State.HOLE if lost and heard_here else _State.IN_SEQUENCE
        writer.last, writer.heard_ms = message.seq, mono_ms
        writer.heard_here, writer.awaited = True, False
        if lost == 0:
            return _FINE
        return Verdict(flush=FlushCause.HOLE, lost=lost) if heard_here else _UNHEARD

    def _meet(self, message: Numbered, mono_ms: int) -> Verdict:
        """The first message of a writer."""
        if len(self._table) >= MAX_WRITERS and not self._make_room():
            news = self._crowded_until_ms is None
            self._crowded_until_ms = mono_ms + self._forget_ms
            return _UNHEARD if news else _FINE
        leaving = message.signal is Signal.GOODBYE
        state = _State.LEFT if leaving else _State.IN_SEQUENCE
        self._table[message.writer] = _Writer(state, message.seq, mono_ms)
        return _UNHEARD if message.before else _FINE

    def _make_room(self) -> bool:
        """Drops the writer that left first."""
        left = [(each.heard_ms, id_) for id_, each in self._table.items() if each.state is _State.LEFT]
        if left:
            del self._table[min(left)[1]]
        return bool(left)

    def passed(self, mono_ms: int) -> Verdict:
        """Time has passed: whoever is silent is found so, and forgotten in the end."""
        fell_silent = False
        for id_, writer in list(self._table.items()):
            quiet = mono_ms - writer.heard_ms
            if quiet >= self._silence_ms and writer.state in _ALIVE:
                fell_silent |= writer.state is _State.IN_SEQUENCE
                writer.state = _State.SILENT
            if quiet >= self._silence_ms + self._forget_ms:
                del self._table[id_]
        if self._crowded_until_ms is not None and self._crowded_until_ms <= mono_ms:
            self._crowded_until_ms = None
        return Verdict(flush=FlushCause.HEARTBEAT) if fell_silent else _FINE

    def census(self, mono_ms: int) -> dict[str, int]:
        """The gauges of ``engine/stats.py``."""
        ages: dict[_State, list[int]] = {state: [] for state in _State}
        for each in self._table.values():
            ages[each.state].append(max(mono_ms - each.heard_ms, 0))
        sound, silent, holes = ages[_State.IN_SEQUENCE], ages[_State.SILENT], ages[_State.HOLE]
        return {
            "writers": len(sound) + len(silent) + len(holes),
            "writers_silent": len(silent),
            "writers_with_holes": len(holes),
            "heartbeat_age_sound_ms": max(sound, default=0),
            "heartbeat_age_silent_ms": max(silent, default=0),
            "heartbeat_age_with_holes_ms": max(holes, default=0),
        }
