"""Outboxes and claims that no register wrote: each costs itself only, and is repaired or left by a rule."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
from bson import Binary, Int64, Regex

from kaa_epr.config.settings import Settings
from kaa_epr.register.outbox import sweeper
from kaa_epr.service import Service
from tests.flows.register_support import Listener, serving
from tests.flows.test_register_faults import left_behind
from tests.support.waiting import until

LONG_AGO: Final = datetime.now(UTC) - timedelta(hours=1)
CLAIM: Final = {"by": "dead", "id": "x", "at": LONG_AGO}
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
    "claim-text": {"outbox": [], "outbox_claim": "x"},
    "claim-array": {"outbox": [], "outbox_claim": [1]},
    "claim-reference": {"outbox": [], "outbox_claim": {"$ref": "a", "$id": 1}},
    "claim-date-text": {"outbox": [], "outbox_claim": {**CLAIM, "at": "yesterday"}},
    "claim-date-regex": {"outbox": [], "outbox_claim": {**CLAIM, "at": Regex("a")}},
    "claim-id": {"outbox": [], "outbox_claim": {**CLAIM, "id": {"a": 1}}},
    "claim-owner": {"outbox": [], "outbox_claim": {**CLAIM, "by": 5}},
}
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
    at = datetime.now(UTC) + timedelta(hours=1)
    claims = [{**CLAIM, "at": at}, {**CLAIM, "at": at, "by": 5}]
    documents = [{"_id": f"e{n}", "outbox": [], "outbox_claim": claim} for n, claim in enumerate(claims)]
    collection.insert_many([*documents, {"_id": 7, "outbox": [], "outbox_claim": {"at": "x"}}])
    assert service.register is not None
    stats = service.register.stats
    await until(lambda: stats.outboxes == 3, "counted")


async def test_others_are_reached_behind_a_whole_batch_that_stays(
    service: Service, collection: Any, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "_BATCH", 4)
    stuck = [{"_id": f"s{n}", **WHOLE, "outbox": [HUGE], "outbox_claim": CLAIM} for n in range(9)]
    collection.insert_many([*stuck, left_behind("good", LONG_AGO + timedelta(minutes=1))])
    (event,) = await listener.wait_for(1)
    assert event.fields["endpointId"] == "good"
