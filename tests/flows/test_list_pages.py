"""Pages of endpoints: read in pieces of about one MiB, counted only where they do not show the number."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import httpx
import pytest

from kaa_epr.config.settings import Settings
from kaa_epr.mongo.errors import StoreBusy, StoreError, StoreTimeout
from kaa_epr.mongo.register_api import EndpointQuery, Piece, RegisterStore
from kaa_epr.refusals import Stored, Unavailable
from kaa_epr.register import lists
from kaa_epr.register.decide.pure.planner import PurePlanner
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.lists import Pages, Range
from kaa_epr.service import Service
from tests.flows.register_support import serving

ANY: Final = EndpointQuery()
KIB: Final = 1024


class Watched:
    """A store that notes what is asked of it, and fails when told to."""

    def __init__(self, store: RegisterStore) -> None:
        self._store = store
        self.pieces: list[Piece] = []
        self.counts = 0
        self.failing: StoreError | None = None
        self.count_fails = False

    async def find_endpoints(self, query: EndpointQuery, **how: Any) -> Piece:
        if self.failing is not None:
            raise self.failing
        piece = await self._store.find_endpoints(query, **how)
        self.pieces.append(piece)
        return piece

    async def count_endpoints(self, query: EndpointQuery, limit: int, time_limit: float) -> int:
        self.counts += 1
        if self.count_fails:
            raise StoreTimeout("count", time_limit)
        return await self._store.count_endpoints(query, limit, time_limit)


@pytest.fixture
def watched(store: RegisterStore) -> Watched:
    return Watched(store)


@pytest.fixture
def pages(watched: Watched) -> Pages:
    return Pages(watched, PurePlanner(Rules()), 20.0)  # type: ignore[arg-type]


async def read(pages: Pages, offset: int, limit: int, *, metadata: bool = True) -> dict[str, Any]:
    text = b"".join([piece async for piece in await pages.page(ANY, Range(offset, limit, metadata))])
    page: dict[str, Any] = json.loads(text)
    return page


def fill(collection: Any, count: int, size: int) -> list[str]:
    ids = [f"e-{number:03}" for number in range(count)]
    metadata = [{"key": "text", "value": "x" * size}]
    for id_ in ids:
        collection.insert_one({"_id": id_, "application_version": "app-v1", "metadata": metadata})
    return ids


async def test_large_endpoints_are_read_in_pieces(pages: Pages, watched: Watched, collection: Any) -> None:
    ids = fill(collection, 40, 100 * KIB)
    page = await read(pages, 0, 1000)
    assert [item["endpointId"] for item in page["content"]] == ids
    assert page["totalElements"] == 40
    assert len(watched.pieces) >= 4
    # The first without knowing how large they are, the others by that.
    assert len(watched.pieces[0].documents) <= lists.FIRST_PIECE * 101 * KIB
    assert all(len(piece.documents) <= lists.PIECE_BYTES for piece in watched.pieces[1:])


async def test_a_page_ends_before_it_is_too_large(
    pages: Pages, collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fill(collection, 12, 100 * KIB)
    monkeypatch.setattr(lists, "MAX_PAGE_BYTES", 450 * KIB)
    page = await read(pages, 2, 10)
    assert [item["endpointId"] for item in page["content"]] == ids[2:6]
    assert (page["totalElements"], page["truncated"]) == (12, True)
    monkeypatch.setattr(lists, "MAX_PAGE_BYTES", 10)
    alone = await read(pages, 0, 10)
    assert [item["endpointId"] for item in alone["content"]] == ids[:1], "one is always shown"


async def test_what_does_not_fit_into_one_answer_is_not_lost(pages: Pages, collection: Any) -> None:
    """MongoDB answers with 16 MiB at most; the page ends there, and says so."""
    ids = fill(collection, 3, 7000 * KIB)
    page = await read(pages, 0, 10)
    assert [item["endpointId"] for item in page["content"]] == ids[:2]
    assert (page["totalElements"], page["truncated"]) == (3, True)


@pytest.mark.parametrize(
    ("offset", "limit", "counts"), [(0, 20, 0), (3, 20, 0), (0, 5, 1), (0, 2, 1), (5, 5, 1), (99, 5, 1)]
)
async def test_the_number_is_counted_where_the_page_does_not_show_it(
    pages: Pages, watched: Watched, collection: Any, offset: int, limit: int, counts: int
) -> None:
    fill(collection, 5, 1)
    page = await read(pages, offset, limit, metadata=False)
    assert page == {**page, "totalElements": 5}
    assert "totalElementsIsLowerBound" not in page
    assert watched.counts == counts


async def test_nothing_at_all(pages: Pages, watched: Watched) -> None:
    assert await read(pages, 0, 20) == {"content": [], "totalElements": 0}
    assert watched.counts == 0


@pytest.mark.parametrize(("offset", "at_least"), [(0, 2), (2, 4), (50, 0)])
async def test_a_number_that_takes_too_long_is_a_lower_bound(
    pages: Pages, watched: Watched, collection: Any, offset: int, at_least: int
) -> None:
    fill(collection, 5, 1)
    watched.count_fails = True
    page = await read(pages, offset, 2)
    assert (page["totalElements"], page["totalElementsIsLowerBound"]) == (at_least, True)


async def test_so_many_are_counted_and_no_more(
    pages: Pages, collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(collection, 5, 1)
    monkeypatch.setattr(lists, "MAX_COUNTED", 4)
    page = await read(pages, 0, 2)
    assert (page["totalElements"], page["totalElementsIsLowerBound"]) == (4, True)


async def test_a_store_that_fails_meanwhile_ends_the_page(
    pages: Pages, watched: Watched, collection: Any
) -> None:
    ids = fill(collection, 40, 100 * KIB)
    made = await pages.page(ANY, Range(0, 1000, with_metadata=True))
    watched.failing = StoreTimeout("list", 1.0)
    page = json.loads(b"".join([piece async for piece in made]))
    assert [item["endpointId"] for item in page["content"]] == ids[: lists.FIRST_PIECE]
    assert page["truncated"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (StoreTimeout("list", 1.0), "Endpoint store is unavailable"),
        (StoreBusy("list", 68), "Too many lists are waiting"),
    ],
)
async def test_a_store_that_fails_at_once_refuses_the_list(
    pages: Pages, watched: Watched, error: StoreError, message: str
) -> None:
    watched.failing = error
    with pytest.raises(Unavailable, match=message) as caught:
        await read(pages, 0, 10)
    assert caught.value.stored is Stored.NO


async def test_so_many_pages_may_be_on_their_way(
    pages: Pages, collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds about a MiB; one that nobody holds any more does not count, however far it came."""
    fill(collection, 5, 1)
    monkeypatch.setattr(lists, "MAX_LISTS", 2)
    part = Range(0, 2, with_metadata=True)
    held = [await pages.page(ANY, part) for _ in range(2)]
    with pytest.raises(Unavailable, match="Too many lists"):
        await pages.page(ANY, part)
    async for _piece in held.pop():
        pass
    held.pop()
    assert (await read(pages, 0, 2))["totalElements"] == 5


# --- over REST ----------------------------------------------------------------------------------------------
@pytest.fixture
async def service(settings_here: Callable[..., Settings], driver: str) -> AsyncIterator[Service]:
    async with serving(settings_here(mongo={"driver": driver})) as running:
        yield running


async def test_a_long_page_over_rest(service: Service, http: httpx.AsyncClient, collection: Any) -> None:
    ids = fill(collection, 60, 50 * KIB)
    page = (await http.get("/endpoints", params={"limit": 1000, "include": "metadata"})).json()
    assert [item["endpointId"] for item in page["content"]] == ids
    assert {item["metadata"]["text"] for item in page["content"]} == {"x" * 50 * KIB}
    assert page["totalElements"] == 60


async def test_too_many_lists_over_rest(
    service: Service, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "MAX_LISTS", 0)
    refused = await http.get("/endpoints")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json() == {"message": "Too many lists are waiting"}
    assert service.register is not None
    assert service.register.stats.refused["lists",] == 1
