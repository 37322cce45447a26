"""A page of endpoints as JSON text, in pieces: read some documents at a time, printed one by one.

However large the endpoints are, a page holds about ``PIECE_BYTES`` of documents at a time (one answer of
MongoDB, 16 MiB, where single ones are larger than that), and the text of one. A document that cannot be shown
costs nobody else anything: what can be shown of it is, with ``problem``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple
from weakref import WeakSet

from kaa_epr.config.register import RegisterSettings
from kaa_epr.log import Repeats, get_logger
from kaa_epr.mongo.errors import StoreBusy, StoreError
from kaa_epr.mongo.lenient import id_of
from kaa_epr.mongo.raw_documents import split
from kaa_epr.mongo.register_api import EndpointQuery, Piece, RegisterStore
from kaa_epr.refusals import Stored, Unavailable, store_unavailable
from kaa_epr.register.decide.api import Planner
from kaa_epr.register.pieces import Told
from kaa_epr.register.shown import beside, shown_text
from kaa_epr.register.stats import Stats
from kaa_epr.slices import Slice

_log = get_logger(__name__)

MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
"""Of documents as they are stored; a page ends where it would exceed that."""
PIECE_BYTES: Final = 1024 * 1024
"""Of documents that one query is to return, by the size of those before."""
FIRST_PIECE: Final = 16
"""Documents of the first query, while nobody knows how large they are."""
MAX_COUNTED: Final = 1_000_000
"""Endpoints counted at most."""
COUNT_SECONDS: Final = 1.0
"""Longest time for counting, its turn among the lists included."""
MAX_LISTS: Final = 64
"""Lists under way, from their first piece to the last byte that the client has taken."""
_TEXT_BYTES: Final = 32 * 1024
"""Of JSON that is sent together."""
_BUSY: Final = "Too many lists are waiting"


class Range(NamedTuple):
    """Which part of a list a page is."""

    offset: int
    limit: int
    with_metadata: bool


@dataclass(slots=True)
class _Reading:
    """How far a page is."""

    part: Range
    skip: int
    """The next piece begins so many documents behind ``after``."""
    left: int
    """Bytes of documents for which there is room."""
    after: str | None = None
    """The last ID that can be named."""
    shown: int = 0
    """Endpoints of this page."""
    ended: bool = False
    """Nothing comes behind them."""
    truncated: bool = False
    """The page ended before its limit although there are more."""

    def take(self, document: bytes) -> bool:
        """Whether there is room for one more."""
        self.left -= len(document)
        if self.left < 0 and self.shown:
            self.truncated = True
            return False
        self.shown += 1
        endpoint_id = id_of(document)
        self.after, self.skip = (self.after, self.skip + 1) if endpoint_id is None else (endpoint_id, 0)
        return True

    @property
    def over(self) -> bool:
        """Whether nothing more is to be read."""
        return self.truncated or self.ended or self.shown >= self.part.limit


class Pages:
    """Makes pages."""

    def __init__(
        self,
        store: RegisterStore,
        planner: Planner,
        seconds: float,
        on_busy: Callable[[], None] = lambda: None,
        on_problem: Callable[[], None] = lambda: None,
    ) -> None:
        """``seconds``: for each step with the store.

        ``on_busy``: called for each list that is refused since there are too many; ``on_problem``: for each
        document that cannot be shown as a whole.
        """
        self._store = store
        self._planner = planner
        self._seconds = seconds
        self._on_busy = on_busy
        self._on_problem = on_problem
        self._repeats = Repeats()
        self._under_way: WeakSet[Told] = WeakSet()

    async def page(self, query: EndpointQuery, part: Range) -> AsyncIterator[bytes]:
        """A page that is begun: it may end early, but does not fail any more. Raises ``Unavailable``."""
        if len(self._under_way) >= MAX_LISTS:
            self._on_busy()
            raise Unavailable(_BUSY, Stored.NO)
        reading = _Reading(part, part.offset, MAX_PAGE_BYTES)
        asked = min(part.limit, FIRST_PIECE) if part.with_metadata else part.limit
        try:
            first = await self._read(query, reading, asked)
        except StoreError as error:
            raise self.unavailable(error) from None
        pieces = Told(self._pieces(query, reading, first, asked))
        self._under_way.add(pieces)
        return pieces

    def unavailable(self, error: StoreError) -> Unavailable:
        """Why nothing can be listed."""
        if isinstance(error, StoreBusy):
            self._on_busy()
            return Unavailable(_BUSY, Stored.NO)
        return store_unavailable()

    def tell_of_endpoint(self, endpoint_id: str | None, problem: str) -> None:
        """It cannot be shown as a whole."""
        self._on_problem()
        facts = {"endpoint_id": endpoint_id, "problem": problem}
        self._repeats.warning(_log, "a stored endpoint cannot be shown as a whole", **facts)

    def tell_of(self, application: str) -> None:
        """An application has an endpoint that cannot be shown as a whole."""
        self._on_problem()
        self._repeats.warning(_log, "metadata keys of an endpoint cannot be shown", application=application)

    async def _read(self, query: EndpointQuery, reading: _Reading, limit: int) -> Piece:
        return await self._store.find_endpoints(
            query,
            after=reading.after,
            offset=reading.skip,
            limit=limit,
            with_metadata=reading.part.with_metadata,
            time_limit=self._seconds,
        )

    async def _pieces(
        self, query: EndpointQuery, reading: _Reading, piece: Piece, asked: int
    ) -> AsyncIterator[bytes]:
        text = bytearray(b'{"content":[')
        work = Slice()
        while True:
            count = 0
            for document in split(piece.documents):
                await work.give_way()
                if not reading.take(document):
                    break
                count += 1
                text += b"," if reading.shown > 1 else b""
                shown = await self._shown(document, reading.part.with_metadata)
                if len(shown) < _TEXT_BYTES:
                    text += shown
                if len(text) >= _TEXT_BYTES or len(shown) >= _TEXT_BYTES:
                    yield bytes(text)
                    text.clear()
                if len(shown) >= _TEXT_BYTES:
                    yield shown
            reading.ended = piece.whole and count < asked and not reading.truncated
            if reading.over:
                break
            average = max(1, len(piece.documents) // max(1, count))
            asked = max(1, min(reading.part.limit - reading.shown, PIECE_BYTES // average))
            try:
                piece = await self._read(query, reading, asked)
            except StoreError as error:
                self._repeats.warning(_log, "a list ends early", error=str(error))
                reading.truncated = True
                break
        yield bytes(text) + b"]," + await self._end(query, reading)

    async def _shown(self, document: bytes, with_metadata: bool) -> bytes:
        show = partial(shown_text, self._planner, document, with_metadata=with_metadata)
        text, problem = await beside(document, show)
        if problem is not None:
            self.tell_of_endpoint(id_of(document), problem)
        return text

    async def _end(self, query: EndpointQuery, reading: _Reading) -> bytes:
        total, is_lower_bound = await self._total(query, reading)
        members = [b'"totalElements":%d' % total]
        if is_lower_bound:
            members.append(b'"totalElementsIsLowerBound":true')
        if reading.truncated:
            members.append(b'"truncated":true')
        return b",".join(members) + b"}"

    async def _total(self, query: EndpointQuery, reading: _Reading) -> tuple[int, bool]:
        """How many endpoints there are, and whether they may be more."""
        offset, shown = reading.part.offset, reading.shown
        # A page behind the end of a list does not show where that is.
        so_far = offset + shown if shown else 0
        if reading.ended and (shown or not offset):
            return so_far, False
        try:
            counted = await self._store.count_endpoints(query, MAX_COUNTED, COUNT_SECONDS)
        except StoreError as error:
            self._repeats.warning(_log, "endpoints could not be counted", error=str(error))
            return so_far, True
        return max(counted, so_far), counted >= MAX_COUNTED


def pages_of(settings: RegisterSettings, store: RegisterStore, stats: Stats, planner: Planner) -> Pages:
    """Those of a register, which counts what they refuse and cannot show."""
    return Pages(
        store,
        planner,
        settings.store_timeout,
        on_busy=partial(stats.refuse, "lists"),
        on_problem=stats.meet_unusable,
    )
