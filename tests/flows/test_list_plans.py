"""How MongoDB finds pages and numbers of endpoints: as many entries read as there are endpoints shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pytest
from bson import Int64

from kaa_epr.mongo.indexes import ensure_indexes
from kaa_epr.mongo.lists import filter_of
from kaa_epr.mongo.register_api import EndpointQuery, RegisterStore

ENDPOINTS: Final = 3000
PAGE: Final = 20
ALL: Final = EndpointQuery()
APPLICATION: Final = EndpointQuery(application="app-1")
VERSION: Final = EndpointQuery(application_version="app-1-v1")
VALUE: Final = EndpointQuery(metadata={"model": "m-1"})


def document(number: int) -> dict[str, Any]:
    """Every tenth is a tombstone."""
    endpoint_id = f"e-{number:05}"
    if number % 10 == 9:
        return {"_id": endpoint_id, "version": Int64(2), "deleted_at": datetime.now(UTC)}
    application = f"app-{number % 3}"
    return {
        "_id": endpoint_id,
        "application": application,
        "application_version": f"{application}-v{number % 4}",
        "metadata": [{"key": "serial", "value": number}, {"key": "model", "value": f"m-{number % 5}"}],
    }


@pytest.fixture
async def filled(store: RegisterStore, collection: Any) -> Any:
    collection.insert_many([document(number) for number in range(ENDPOINTS)])
    await ensure_indexes(store)
    return collection


def stages(plan: dict[str, Any]) -> set[str]:
    below = [plan[name] for name in ("inputStage",) if name in plan] + plan.get("inputStages", [])
    return {plan["stage"]}.union(*map(stages, below))


def explained(collection: Any, command: dict[str, Any]) -> dict[str, Any]:
    answer = collection.database.command({"explain": command, "verbosity": "executionStats"})
    plan = answer["queryPlanner"]["winningPlan"]
    return {**answer["executionStats"], "stages": stages(plan.get("queryPlan", plan))}


@pytest.mark.parametrize("query", [ALL, APPLICATION, VERSION, VALUE], ids=str)
@pytest.mark.parametrize("after", [None, "e-01500"])
async def test_a_page_reads_what_it_shows(filled: Any, query: EndpointQuery, after: str | None) -> None:
    where = filter_of(query, after)
    told = explained(filled, {"find": "endpoints", "filter": where, "sort": {"_id": 1}, "limit": PAGE})
    assert told["nReturned"] == PAGE
    # Tombstones are met where nothing but an ID says where to begin.
    assert told["totalDocsExamined"] <= PAGE * 1.5
    assert told["totalKeysExamined"] <= PAGE * 1.5
    assert "SORT" not in told["stages"]


@pytest.mark.parametrize("query", [ALL, APPLICATION, VERSION], ids=str)
async def test_counting_reads_no_documents(filled: Any, query: EndpointQuery) -> None:
    told = explained(filled, {"count": "endpoints", "query": filter_of(query, None)})
    assert told["totalDocsExamined"] == 0
    assert "COUNT_SCAN" in told["stages"]


async def test_counting_by_a_value_reads_those_that_have_it(filled: Any) -> None:
    told = explained(filled, {"count": "endpoints", "query": filter_of(VALUE, None)})
    assert told["totalDocsExamined"] == filled.count_documents({"metadata.value": "m-1"})


@pytest.mark.parametrize("query", [ALL, APPLICATION, VERSION, VALUE], ids=str)
async def test_pieces_and_numbers_agree_with_the_collection(
    filled: Any, store: RegisterStore, query: EndpointQuery
) -> None:
    filled.insert_many([{"_id": 5}, {"_id": {"a": 1}}])  # no endpoints
    expected = [found["_id"] for found in filled.find(filter_of(query, None)).sort("_id", 1)]
    assert await store.count_endpoints(query, 1_000_000, 5.0) == len(expected)
    assert await store.count_endpoints(query, 7, 5.0) == 7
    piece = await store.find_endpoints(
        query, after=expected[4], offset=2, limit=3, with_metadata=False, time_limit=5.0
    )
    assert piece.whole
    for endpoint_id in expected[7:10]:
        assert endpoint_id.encode() in piece.documents
    assert expected[10].encode() not in piece.documents
