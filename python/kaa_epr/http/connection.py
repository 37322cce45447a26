"""One connection: its requests one after another, in time, and never more in memory than a bound."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from kaa_epr.http import wire
from kaa_epr.http.exchange import Exchange
from kaa_epr.http.reader import RequestReader
from kaa_epr.http.refused import TooSlow
from kaa_epr.http.shared import Shared
from kaa_epr.refusals import Refusal

KEEP_ALIVE_SECONDS: Final = 5.0
"""How long a connection may be idle between two requests."""
LINGER_SECONDS: Final = 2.0
"""How long a connection stays after its last answer, until the client has read that."""
READ_AHEAD: Final = 64 * 1024
"""Bytes of a body, and of requests behind it, after which no more is read from the socket for now."""
DISCARD: Final = 256 * 1024
"""Bytes. A body that nobody wants is read to its end if that is no further away; else the connection ends."""


class Connection(asyncio.Protocol):
    """What the event loop calls. At most one exchange is under way; what comes behind it waits unparsed."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.reader = RequestReader(shared.limits.max_head_bytes)
        self.tls = False
        self.connected = False
        self.lost = False
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._loop = shared.loop
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tick = min(KEEP_ALIVE_SECONDS, shared.limits.request_seconds)
        self._idle = True
        self._reading = True
        self._ending = False
        self._at_eof = False
        self._drained: asyncio.Future[None] | None = None
        self.stuck = False
        """Whether more is unsent than may be."""

    # --- called by the event loop ---------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client."""
        self._transport = cast(asyncio.Transport, transport)
        self.tls = transport.get_extra_info("sslcontext") is not None
        self.connected = True
        self._within(self._tick)
        self._look_in(self._tick)

    def data_received(self, data: bytes) -> None:
        """Bytes of this request, or of the next."""
        if self._ending:
            return
        reader = self.reader
        if self._idle:
            self._idle = False
            self._within(self.shared.limits.request_seconds)
        reader.feed(data)
        if self._exchange is None:
            self._next()
        else:
            self._exchange.wake()
            self._read_ahead()

    def eof_received(self) -> bool:
        """Nothing more comes; who has asked may still wait for the answer."""
        self._at_eof = True
        if self._exchange is None or self._ending:
            return False
        self._exchange.wake()
        return not self.tls

    def connection_lost(self, _error: Exception | None) -> None:
        """The client has gone, or was sent away. What is done for nobody else ends, whatever it waits for.

        The rest goes on: it may have changed something.
        """
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        if self._exchange is None:
            self._forget()
        else:
            self._exchange.wake()
            if self._exchange.ends_with_client and self._task is not None:
                self._task.cancel()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        self.stuck = True

    def resume_writing(self) -> None:
        """It has read on."""
        self.stuck = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # --- called by the exchange -----------------------------------------------------------------------------
    @property
    def at_eof(self) -> bool:
        """Whether nothing more can come."""
        return self._at_eof or self.lost

    @property
    def may_stay(self) -> bool:
        """Whether there can be another request on this connection after the answer that begins now."""
        reader = self.reader
        if self._at_eof or self.shared.stopping or not reader.may_stay:
            return False
        return reader.complete or (reader.remaining is not None and reader.remaining <= DISCARD)

    def write(self, data: bytes) -> None:
        """Sends, at once as far as the socket takes it."""
        if not self.lost:
            self._transport.write(data)

    async def drain(self) -> None:
        """Until little enough is unsent. That the time is limited is the timer's business."""
        while self.stuck and not self.lost:
            self._drained = self._loop.create_future()
            await self._drained

    def read_on(self) -> None:
        """There is room again."""
        if self._reading or self._ending or self.lost:
            return
        if self.reader.waiting <= READ_AHEAD:
            self._reading = True
            self._transport.resume_reading()

    def ended(self, *, stays: bool) -> None:
        """The exchange is over: its answer was handed to the transport, and little of it is unsent."""
        self._exchange = None
        self._task = None
        if self.lost:
            self._forget()
        elif stays and not self._at_eof:
            self._within(self.shared.limits.request_seconds)
            self._next()
        else:
            self._end()

    def abort(self) -> None:
        """Ends at once."""
        if self.connected and not self.lost:
            self._transport.abort()

    # --- called by the server -------------------------------------------------------------------------------
    def finish(self) -> None:
        """Ends after what has begun."""
        if self.connected and self._idle:
            self._end()

    def cancel(self) -> None:
        """Ends whatever was begun."""
        self.abort()
        if self._task is not None:
            self._task.cancel()

    # --- requests -------------------------------------------------------------------------------------------
    def _next(self) -> None:
        reader = self.reader
        try:
            if not reader.complete:
                reader.body()  # of the request before, that nobody wanted
                if not reader.complete:
                    self.read_on()
                    return
            if not reader.waiting:
                self._rest()
                return
            head = reader.head()
        except Refusal as refusal:
            self._refuse(refusal)
            return
        if head is None:
            self.read_on()
            return
        self._exchange = Exchange(self, head)
        self._task = self._loop.create_task(self._exchange.run(self.shared.app))
        self._read_ahead()

    def _rest(self) -> None:
        """Nothing of a request has come."""
        self._idle = True
        self._within(self._tick)
        if self.shared.stopping:
            self._end()
        else:
            self.read_on()

    def _read_ahead(self) -> None:
        """Goes on reading while what waits is little; a client that sends on without reading has to wait."""
        if self._reading and self.reader.waiting > READ_AHEAD:
            self._reading = False
            self._transport.pause_reading()

    def _refuse(self, refusal: Refusal) -> None:
        self.write(wire.refusal(refusal, self.shared.error_headers()))
        self._end()

    # --- time -----------------------------------------------------------------------------------------------
    def _within(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds

    def _look(self) -> None:
        """One timer that looks now and then costs less than one that is set anew with each request."""
        left = self._deadline - self._loop.time()
        if left <= 0:
            left = LINGER_SECONDS
            self._expire()
        if not self.lost:
            self._look_in(min(left, self._tick))

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._look)

    def _expire(self) -> None:
        slow = TooSlow(self.shared.limits.request_seconds)
        if self._ending or self.stuck:
            self.abort()
        elif self._exchange is not None:
            if not self._exchange.give_up(slow):
                self.abort()
        elif self._idle or not self.reader.complete:
            self._end()
        else:
            self._refuse(slow)

    # --- the end --------------------------------------------------------------------------------------------
    def _end(self) -> None:
        """Ends the connection once the answer is sent, which is given a moment.

        Where the client still sends, its bytes are read and dropped meanwhile: a socket closed over unread
        bytes is reset, and the reset can overtake the answer.
        """
        if self._ending or self.lost:
            return
        self._ending = True
        sent = not self._transport.get_write_buffer_size()
        if sent:
            self._within(LINGER_SECONDS)
            self._look_in(LINGER_SECONDS)
        unread = self.reader.waiting or not self.reader.complete
        if unread and not self._at_eof and self._transport.can_write_eof():
            self.reader.close()
            if not self._reading:
                self._transport.resume_reading()
            self._transport.write_eof()
            return
        self._transport.close()
        if sent and not self.tls:
            # Closed as good as now: who learns of it may connect anew, and must not be one too many.
            self._forget()

    def _forget(self) -> None:
        self.reader.close()
        self.shared.forget(self)
