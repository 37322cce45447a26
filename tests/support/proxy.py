"""A TCP proxy on loopback that can do to a connection what networks do, and to NATS what no network does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from tests.support.frames import Filter, Item

Direction = Literal["to_client", "to_server"]
BOTH: Final[tuple[Direction, Direction]] = ("to_client", "to_server")
HOST: Final = "127.0.0.1"
CHUNK: Final = 64 * 1024
TICK: Final = 0.05
"""Seconds between two pieces of a throttled direction: longer, and its end would look dead."""


def flowing() -> dict[Direction, asyncio.Event]:
    """Both directions open."""
    events: dict[Direction, asyncio.Event] = {way: asyncio.Event() for way in BOTH}
    for event in events.values():
        event.set()
    return events


@dataclass
class Pair:
    """One proxied connection."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    moving: dict[Direction, asyncio.Event] = field(default_factory=flowing)

    def abort(self) -> None:
        """Resets both ends, whatever they were doing."""
        for writer in (self.client, self.server):
            writer.transport.abort()


@dataclass
class Tampering:
    """What to do to NATS messages whose subject fits, in one direction."""

    direction: Direction
    fits: Callable[[str], bool]
    copies: int
    """0: lost, 2: delivered twice."""
    left: int
    """How many messages more."""
    done: int = 0
    happened: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when none is left."""

    def applied(self, item: Item) -> int:
        """How often ``item`` is handed on."""
        if self.left <= 0 or not item.subject or not self.fits(item.subject):
            return 1
        self.left -= 1
        self.done += 1
        if self.left == 0:
            self.happened.set()
        return self.copies


@dataclass
class Proxy:
    """Forwards to ``port`` of loopback. Everything can be changed while connections are up.

    ``understands_nats`` hands on whole items of the protocol; ``lose`` and ``repeat`` need it.
    """

    port: int
    piece: int | None = None
    """Bytes handed on at a time; every piece is a write of its own."""
    understands_nats: bool = False
    to_client: int = 0
    """Bytes handed on from the server to the client so far."""
    to_server: int = 0
    accepted: int = 0
    refusing: bool = False
    """New connections are reset at once."""
    pairs: list[Pair] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._flowing = flowing()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rates: dict[Direction, float] = {}
        self._cut_after: dict[Direction, int] = {}
        self._tamperings: list[Tampering] = []
        self.was_cut = asyncio.Event()
        """Set when ``cut_after`` has cut."""

    async def __aenter__(self) -> Self:
        # A small window, as on a slow network: what is not handed on is not acknowledged for long.
        listener = socket.create_server((HOST, 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
        self._listener = await asyncio.start_server(self._accept, sock=listener, limit=128 * 1024)
        self.listens_on = int(self._listener.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """For clients of NATS."""
        return f"nats://{HOST}:{self.listens_on}"

    # --- what networks do -----------------------------------------------------------------------------------
    def stop_forwarding(self, *directions: Direction) -> None:
        """Half-open: the connections stay up and take what the kernels take, but nothing comes through."""
        for direction in directions or BOTH:
            self._flowing[direction].clear()

    def go_on(self) -> None:
        """Undoes ``stop_forwarding``."""
        for event in self._flowing.values():
            event.set()

    def freeze(self, *directions: Direction) -> None:
        """Half-open for ever: what the connections of now carry comes nowhere; new ones work."""
        for pair in self.pairs:
            for direction in directions or BOTH:
                pair.moving[direction].clear()

    def throttle(self, direction: Direction, bytes_per_second: float) -> None:
        """Hands on about so many bytes a second in one direction; 0: as fast as it goes."""
        self._rates[direction] = bytes_per_second

    def cut(self) -> None:
        """Resets every connection, in the middle of whatever it was doing."""
        for pair in self.pairs:
            pair.abort()
        self.pairs.clear()

    def cut_after(self, direction: Direction, size: int) -> None:
        """Resets the connection that hands on the ``size``-th byte from now, behind that byte."""
        self.was_cut.clear()
        self._cut_after[direction] = size

    # --- what no network does -------------------------------------------------------------------------------
    def lose(self, direction: Direction, fits: Callable[[str], bool], times: int = 1) -> Tampering:
        """Takes the next NATS messages out whose subject fits; the connection stays as it is."""
        return self._tamper(Tampering(direction, fits, 0, times))

    def repeat(self, direction: Direction, fits: Callable[[str], bool], times: int = 1) -> Tampering:
        """Delivers the next NATS messages whose subject fits twice."""
        return self._tamper(Tampering(direction, fits, 2, times))

    def _tamper(self, tampering: Tampering) -> Tampering:
        assert self.understands_nats
        self._tamperings.append(tampering)
        return tampering

    def _copies(self, direction: Direction, item: Item) -> int:
        self._tamperings = [tampering for tampering in self._tamperings if tampering.left > 0]
        for tampering in self._tamperings:
            if tampering.direction == direction and (copies := tampering.applied(item)) != 1:
                return copies
        return 1

    # --- forwarding -----------------------------------------------------------------------------------------
    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            if self.refusing:
                raise ConnectionRefusedError
            back, forth = await asyncio.open_connection(HOST, self.port, limit=256 * 1024)
        except OSError:
            writer.transport.abort()
            return
        pair = Pair(client=writer, server=forth)
        self.pairs.append(pair)
        ways: tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter, Direction], ...]
        ways = ((reader, forth, "to_server"), (back, writer, "to_client"))
        for source, target, direction in ways:
            task = asyncio.get_running_loop().create_task(self._pump(pair, source, target, direction))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, pair: Pair, source: asyncio.StreamReader, target: asyncio.StreamWriter, direction: Direction
    ) -> None:
        nats = Filter()
        try:
            while data := await source.read(self.piece or CHUNK):
                await self._flowing[direction].wait()
                await pair.moving[direction].wait()
                if self.understands_nats:
                    data = nats.feed(data, lambda item: self._copies(direction, item))
                cut = self._cut_after.get(direction, len(data) + 1) <= len(data)
                await self._hand_on(target, data[: self._cut_after[direction]] if cut else data, direction)
                if cut:
                    del self._cut_after[direction]
                    self.was_cut.set()
                    pair.abort()
                    return
            target.close()
        except OSError:
            target.transport.abort()

    async def _hand_on(self, target: asyncio.StreamWriter, data: bytes, direction: Direction) -> None:
        while data:
            rate = self._rates.get(direction)
            piece = data[: max(1, int(rate * TICK))] if rate else data
            data = data[len(piece) :]
            if target.is_closing():
                raise ConnectionResetError
            target.write(piece)
            await target.drain()
            setattr(self, direction, getattr(self, direction) + len(piece))
            if direction in self._cut_after:
                self._cut_after[direction] -= len(piece)
            if rate:
                # The rate is what the test is about; nobody waits for this to have happened.
                await asyncio.sleep(len(piece) / rate)
