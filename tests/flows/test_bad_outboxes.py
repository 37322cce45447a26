"""Outboxes and claims that no register wrote: each costs itself only, and is repaired or left by a rule."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
from bson import Binary, Int64

from kaa_epr.config.settings import Settings
from kaa_epr.mongo import conditional
from kaa_epr.mongo.conditional import Claim
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.register.outbox import sweeper
from kaa_epr.service import Service
from tests.flows.register_support import Listener, serving
from tests.flows.test_register_faults import left_behind
from tests.support.odd_claims import BROKEN, CLAIM, CLAIMS, LONG_AGO
from tests.support.waiting import until

WHOLE: Final = {"application_version": "app-v1", "version": Int64(4), "metadata": []}
HUGE: Final = {"kind": "metadata-updated", "version": Int64(4), "payload": Binary(b"x" * 2_000_000)}

REPAIRED: Final[dict[str, dict[str, Any]]] = {
    "null": {"outbox": None, "outbox_claim": CLAIM},
    "number": {"outbox": 5, "outbox_claim": CLAIM},
    "document": {"outbox": {"a": 1}, "outbox_claim": CLAIM},
    "empty": {"outbox": [], "outbox_claim": CLAIM},
    "items": {"outbox": [1, "x", None, {}], "outbox_claim": CLAIM},
    "kind": {"outbox": [{**HUGE, "kind": "hush", "payload": Binary(b"")}], "outbox_claim": CLAIM},
    "payload": {"outbox": [{**HUGE, "payload": 10**12}], "outbox_claim": CLAIM},
    "version": {"outbox": [{**HUGE, "version": float("nan"), "payload": Binary(b"")}], "outbox_claim": CLAIM},
    "no-claim": {"outbox": []},
}
SECONDS: Final = 5.0
LEFT: Final[dict[Any, dict[str, Any]]] = {
    "larger-than-nats-takes": {"outbox": [HUGE], "outbox_claim": CLAIM},
    5: {"outbox": None, "outbox_claim": CLAIM},
}


@pytest.fixture
async def service(settings_here: Callable[..., Settings], driver: str) -> AsyncIterator[Service]:
    async with serving(settings_here(mongo={"driver": driver}, register={"claim_expiry": 10})) as running:
        yield running


async def test_a_good_one_behind_bad_ones_is_published(
    service: Service,
    http: httpx.AsyncClient,
    collection: Any,
    listener: Listener,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = REPAIRED | LEFT
    collection.insert_many([{"_id": name, **WHOLE, **fields} for name, fields in bad.items()])
    collection.insert_one(left_behind("good", LONG_AGO + timedelta(minutes=1)))
    (event,) = await listener.wait_for(1)
    assert event.fields["endpointId"] == "good"
    await until(
        lambda: {found["_id"] for found in collection.find({"outbox": {"$exists": True}})} == set(LEFT)
    )
    for name in REPAIRED:
        assert (await http.put(f"/endpoints/{name}/metadata/a", json=1)).status_code == 200
    assert service.register is not None
    assert service.register.stats.unreadable >= 8
    # What one of them holds is nobody's business.
    assert not re.search(r"\bhush\b", capsys.readouterr().out)


async def test_the_backlog_is_counted_whatever_claims_say(service: Service, collection: Any) -> None:
    # As far ahead as a claim may be dated that lives.
    at = datetime.now(UTC) + timedelta(seconds=9)
    claims = [{**CLAIM, "at": at}, {**CLAIM, "at": at, "by": 5}]
    documents = [{"_id": f"e{n}", "outbox": [], "outbox_claim": claim} for n, claim in enumerate(claims)]
    collection.insert_many([*documents, {"_id": 7, "outbox": [], "outbox_claim": {"at": "x"}}])
    assert service.register is not None
    stats = service.register.stats
    await until(lambda: stats.outboxes == 3, "counted")


async def test_no_claim_stands_in_the_way_of_events_and_writes(
    service: Service, http: httpx.AsyncClient, collection: Any, listener: Listener
) -> None:
    left = {f"with-{name}": claim for name, claim in CLAIMS.items()}
    alone = {f"without-{name}": claim for name, claim in CLAIMS.items()}
    collection.insert_many([left_behind(name, LONG_AGO) | {"outbox_claim": left[name]} for name in left])
    collection.insert_many([{"_id": name, **WHOLE, "outbox_claim": claim} for name, claim in alone.items()])
    tombstone = {"_id": "tombstone", "version": Int64(4), "deleted_at": LONG_AGO, "outbox_claim": 5}
    collection.insert_one(tombstone)
    published = [event.fields["endpointId"] for event in await listener.wait_for(len(left))]
    assert sorted(published) == sorted(left)

    registered = await http.post(
        "/endpoints", json={"endpointId": "tombstone", "appVersion": {"name": "app-v1"}}
    )
    assert registered.status_code == 201
    for name in (*left, *alone):
        # What is not UTF-8 anywhere makes an endpoint unusable, until all of it is replaced.
        of = "metadata" if name.endswith("undecodable") else "metadata/b"
        assert (await http.put(f"/endpoints/{name}/{of}", json={"b": 1})).status_code == 200
    heard = await listener.wait_for(2 * len(left) + len(alone) + 1)
    told = [event.fields["endpointId"] for event in heard[len(left) :]]
    assert sorted(told) == sorted([*left, *alone, "tombstone"])
    waiting = {"$or": [{"outbox": {"$exists": True}}, {"outbox_claim": {"$exists": True}}]}
    await until(lambda: collection.count_documents(waiting) == 0, "cleared")


async def test_what_is_removed_from_a_claims_place_is_counted_once(
    store: RegisterStore, collection: Any
) -> None:
    collection.insert_many(
        [{"_id": name, "outbox": [], "outbox_claim": each} for name, each in CLAIMS.items()]
    )
    lives = {**CLAIM, "at": datetime.now(UTC)}
    collection.insert_one({"_id": "lives", "outbox": [], "outbox_claim": lives})
    found = {outbox.endpoint_id: outbox for outbox in await store.outboxes("me", 600.0, 256, SECONDS)}
    assert found.keys() == CLAIMS.keys()
    assert {name for name, outbox in found.items() if outbox.claim_broken} == BROKEN.keys()

    assert await store.remove_broken_claims([*found, "lives"], SECONDS) == len(BROKEN)
    assert await store.remove_broken_claims([*found, "lives"], SECONDS) == 0
    mine, theirs = Claim("me", "1"), Claim("you", "2")
    outboxes = await store.outboxes("me", 600.0, 256, SECONDS)
    for claim, lost in ((mine, 0), (theirs, len(CLAIMS))):
        writes = [conditional.take_over(each.endpoint_id, each.claim, claim) for each in outboxes]
        assert len((await store.write(writes, SECONDS)).failures) == lost
    count, _ = await store.backlog(SECONDS)
    assert count == len(CLAIMS) + 1


async def test_others_are_reached_behind_a_whole_batch_that_stays(
    service: Service, collection: Any, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "_BATCH", 4)
    stuck = [{"_id": f"s{n}", **WHOLE, "outbox": [HUGE], "outbox_claim": CLAIM} for n in range(9)]
    collection.insert_many([*stuck, left_behind("good", LONG_AGO + timedelta(minutes=1))])
    (event,) = await listener.wait_for(1)
    assert event.fields["endpointId"] == "good"
