"""What an import into MongoDB alone writes, leaves alone and reports, by what the store holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import bson
import pytest
from bson import Int64

from kaa_epr.engine import EngineName
from kaa_epr.mongo.api import Statement, WriteFailure, WriteOutcome
from kaa_epr.mongo.documents import Endpoint
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.mongo.transfer import BadLine, Batch, BatchOutcome, GoodLine
from kaa_epr.register.importing import direct_import
from tests.support.planning import NOW

ENDPOINT = Endpoint("e", "app", "v1", None, {"a": 1, "b": 2.5})
STORED = {
    "_id": "e",
    "version": Int64(7),
    "application": "app",
    "application_version": "v1",
    "metadata": ENDPOINT.items(),
    "created_at": NOW,
}


class Store:
    """Holds one document, and answers each write with the next of ``failures``."""

    def __init__(self, stored: bytes | None, *failures: WriteFailure | None) -> None:
        self.stored = stored
        self.failures = list(failures)
        self.reads = 0
        self.inserted: list[dict[str, Any]] = []
        self.updated: list[tuple[dict[str, Any], dict[str, Any]]] = []

    async def read(self, ids: Sequence[str], time_limit: float) -> list[bytes]:
        self.reads += 1
        return [] if self.stored is None else [self.stored]

    async def write(self, writes: Sequence[Any], time_limit: float) -> WriteOutcome:
        self.inserted += [bson.decode(each._doc.raw) for each in writes]
        return self._answer(len(writes))

    async def upsert(self, statements: Sequence[Statement], time_limit: float) -> WriteOutcome:
        self.updated += [(bson.decode(each.condition), bson.decode(each.update)) for each in statements]
        return self._answer(len(statements))

    def _answer(self, count: int) -> WriteOutcome:
        failure = self.failures.pop(0) if self.failures else None
        return WriteOutcome(count, () if failure is None else (failure,))


@pytest.fixture(params=["rust", "pure"])
def engine_name(request: pytest.FixtureRequest) -> EngineName:
    name: EngineName = request.param
    return name


async def imported(engine: EngineName, store: Store, endpoint: Endpoint = ENDPOINT) -> BatchOutcome:
    batch = Batch(end=0, lines=1)
    batch.good[endpoint.id] = GoodLine(1, endpoint)
    return await direct_import(cast(RegisterStore, store), engine)(batch)


def encoded(**changes: Any) -> bytes:
    fields = STORED | changes
    return bson.encode({name: value for name, value in fields.items() if value is not None})


async def test_a_new_endpoint(engine_name: EngineName) -> None:
    store = Store(None)
    outcome = await imported(engine_name, store)
    assert (outcome.created, outcome.changed, outcome.unchanged, outcome.bad) == (["e"], [], 0, [])
    (document,) = store.inserted
    dates = {
        document.pop(name) for name in ("created_at", "metadata_updated_at", "app_version_registered_at")
    }
    assert len(dates) == 1
    assert document == {name: STORED[name] for name in STORED if name != "created_at"} | {"version": 1}
    assert next(iter(document)) == "_id"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"outbox": [1], "extra": 2},
        {"metadata": [*reversed(ENDPOINT.items())]},
        {"metadata": {"a": 1, "b": 2.5}},
        {"metadata": [{"key": "a", "value": Int64(1)}, {"key": "b", "value": 2.5}]},
        {"version": None},
    ],
)
async def test_what_gets_answer_alike_is_left_alone(engine_name: EngineName, changes: dict[str, Any]) -> None:
    store = Store(encoded(**changes))
    assert (await imported(engine_name, store)).unchanged == 1
    assert (store.inserted, store.updated) == ([], [])


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": 1.0, "b": 2.5},
        {"a": True, "b": 2.5},
        {"a": "1", "b": 2.5},
        {"a": 1},
        {},
        {"a": 1, "b": 2.5, "c": None},
    ],
)
async def test_any_difference_in_the_metadata_is_a_change(
    engine_name: EngineName, metadata: dict[str, Any]
) -> None:
    store = Store(encoded(outbox=[1]))
    outcome = await imported(engine_name, store, Endpoint("e", "app", "v1", None, metadata))
    assert outcome.changed == ["e"]
    ((condition, update),) = store.updated
    assert condition == {"_id": "e", "version": 7}
    assert update["$set"].keys() == {"version", "metadata", "metadata_updated_at"}
    assert update["$set"]["version"] == 8
    assert update.keys() == {"$set", "$setOnInsert"}
    assert {item["key"]: item["value"] for item in update["$set"]["metadata"]} == metadata


async def test_what_a_line_leaves_out_goes_and_tokens_are_not_judged(engine_name: EngineName) -> None:
    store = Store(encoded(endpoint_token="t"))
    await imported(engine_name, store, Endpoint("e", "app", None, "to/ken+", ENDPOINT.metadata))
    ((_, update),) = store.updated
    assert update["$unset"].keys() == {"application_version"}
    assert update["$set"]["endpoint_token"] == "to/ken+"


async def test_a_tombstone_goes_on_from_its_version(engine_name: EngineName) -> None:
    store = Store(bson.encode({"_id": "e", "version": Int64(7), "deleted_at": NOW, "outbox": [1]}))
    outcome = await imported(engine_name, store)
    assert (outcome.created, outcome.changed) == ([], ["e"])
    ((condition, update),) = store.updated
    assert condition == {"_id": "e", "version": 7}
    assert update["$set"]["version"] == 8
    assert update["$unset"] == {"deleted_at": ""}


async def test_what_cannot_be_read_is_replaced(engine_name: EngineName) -> None:
    broken = encoded(metadata=[{"key": "a", "value": "XX"}]).replace(b"XX", b"\xff\xff")
    store = Store(broken)
    assert (await imported(engine_name, store)).changed == ["e"]
    ((condition, update),) = store.updated
    assert condition == {"_id": "e", "version": 7}
    assert update["$set"]["metadata"] == ENDPOINT.items()


@pytest.mark.parametrize("version", ["7", True, [7]])
async def test_a_version_that_is_no_number_is_not_written_over(engine_name: EngineName, version: Any) -> None:
    store = Store(encoded(version=version, metadata=[]))
    outcome = await imported(engine_name, store)
    assert outcome.bad == [BadLine(1, "the stored document's version is not a number", "e")]
    assert store.updated == []


async def test_documents_that_cannot_be_taken_apart_are_told(engine_name: EngineName) -> None:
    good = encoded()
    store = Store(good.replace(b"\x04metadata\0", b"\x50metadata\0"))
    outcome = await imported(engine_name, store)
    assert outcome.bad == [BadLine(1, "Stored endpoint is unusable", "e")]


@pytest.mark.parametrize("stored", [None, encoded(metadata=[])])
@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (WriteFailure(0, 11000, ("application", "endpoint_token")), "endpointToken: another endpoint"),
        (WriteFailure(0, 11000, ("serial",)), "another document has the same serial"),
        (WriteFailure(0, 10334, ()), "limit of 16 MiB"),
        (WriteFailure(0, 121, ()), "validation rules"),
        (WriteFailure(0, 13, ()), "code 13"),
    ],
)
async def test_reasons(
    engine_name: EngineName, stored: bytes | None, failure: WriteFailure, reason: str
) -> None:
    store = Store(stored, failure)
    outcome = await imported(engine_name, store)
    assert store.reads == 1
    (bad,) = outcome.bad
    assert reason in bad.reason
    assert (bad.number, bad.endpoint_id) == (1, "e")


@pytest.mark.parametrize(
    ("stored", "race"),
    [(None, WriteFailure(0, 11000, ("_id",))), (encoded(metadata=[]), WriteFailure(0, 66, ()))],
)
async def test_races_are_compared_anew_a_few_times(
    engine_name: EngineName, stored: bytes | None, race: WriteFailure
) -> None:
    store = Store(stored, race, race)
    outcome = await imported(engine_name, store)
    assert (store.reads, outcome.created + outcome.changed) == (3, ["e"])
    store = Store(stored, *[race] * 9)
    outcome = await imported(engine_name, store)
    assert store.reads == 5
    assert outcome.bad == [BadLine(1, "others kept changing the endpoint meanwhile", "e")]
