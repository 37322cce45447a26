"""The observer on real servers: fresh answers, planted stale ones, races, outages, limits."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from nats.aio.client import Client as NatsClient
from pymongo import MongoClient
from structlog.testing import capture_logs

from kaa_epr.config.settings import Settings
from kaa_epr.embedded import MongoServer, NatsServer, start_mongod, start_nats
from kaa_epr.messages.outgoing import EventKind
from kaa_epr.observer import ObserverOptions, Policy
from kaa_epr.observer.counts import Verdict
from tests.flows.observe_support import (
    NOT_FOUND,
    Stage,
    answer,
    document,
    finished,
    frozen,
    observing,
    of_verdicts,
    publish,
)
from tests.flows.register_support import connected, register_settings, serving
from tests.support.waiting import until

SECRET = "s3cr3t-value"


@pytest.fixture
def settings(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str
) -> Settings:
    narrowed = {"originators": [instance_name]}
    return register_settings(
        nats_server.url, mongod.uri, instance_name, mongo_database, invalidation=narrowed
    )


@pytest.fixture
def stage(settings: Settings, collection: Any, nc: NatsClient, tmp_path: Path) -> Stage:
    return Stage(settings, collection, nc, tmp_path)


# --- fresh
async def test_a_coherent_responder_is_never_called_stale(settings: Settings) -> None:
    """Writers that overtake one another on few endpoints, deletions included: races in all ways."""
    writes = 150
    options = ObserverOptions(count=writes, max_per_second=10_000)
    async with serving(settings) as service, observing(settings, options) as observer:
        assert service.register is not None
        url = f"{service.register.url}/api/v1/endpoints"

        async def write(http: httpx.AsyncClient, id_: str) -> None:
            body = {"endpointId": id_, "appVersion": {"name": "app-v1"}}
            for round_ in range(10):
                (await http.post(url, json=body)).raise_for_status()
                for number in range(3):
                    path = f"{url}/{id_}/metadata/k"
                    (await http.put(path, json=[round_, number])).raise_for_status()
                (await http.delete(f"{url}/{id_}")).raise_for_status()

        async with httpx.AsyncClient(timeout=30) as http:
            await asyncio.gather(*(write(http, f"e{n}") for n in range(3)))
        summary = await finished(observer)
    assert summary["events"] == writes
    assert summary["checked"] == writes
    assert summary["verdicts"]["stale"] == 0
    assert summary["verdicts"]["fresh"] + summary["verdicts"]["ambiguous"] == writes
    assert summary["staleLongerThan"] == {"0": 0, "1": 0, "10": 0, "60": 0}
    assert summary["store"]["failures"] == 0


# --- stale
async def test_an_answer_older_than_its_event_is_counted_until_it_is_fresh(stage: Stage) -> None:
    stage.collection.insert_one(document("e", 2, k=SECRET))
    options = ObserverOptions(count=1)
    with (
        capture_logs() as logs,
        stage.frozen(answer(1, k="old")) as responder,
    ):
        async with stage.observing(options) as observer:
            began = time.monotonic()
            await stage.publish("e", 2)
            await until(lambda: observer.counts.stale[1.0])
            await responder.thaw(answer(2, k=SECRET))
            summary = await finished(observer)
            elapsed = time.monotonic() - began
    assert of_verdicts(summary) == {"stale": 1}
    assert summary["evidence"] == {"version": 1, "store": 0}
    assert summary["staleLongerThan"] == {"0": 1, "1": 1, "10": 0, "60": 0}
    assert 1 < summary["worstStalenessSeconds"] < elapsed
    assert "answers were stale" in [log["event"] for log in logs]
    assert SECRET not in repr((logs, summary))


async def test_staleness_that_does_not_end_is_given_up(stage: Stage) -> None:
    stage.collection.insert_one(document("e", 2, k=1))
    options = ObserverOptions(Policy(give_up=0.5), count=1)
    with stage.frozen(answer(1, k=0)):
        async with stage.observing(options) as observer:
            await stage.publish("e", 2)
            summary = await finished(observer)
    assert of_verdicts(summary) == {"stale": 1}
    assert summary["staleLongerThan"]["0"] == 1


async def test_a_registered_endpoint_that_stays_unknown_is_stale(stage: Stage) -> None:
    stage.collection.insert_one(document("e", 1))
    options = ObserverOptions(Policy(give_up=0.5), count=1)
    with stage.frozen(NOT_FOUND):
        async with stage.observing(options) as observer:
            await stage.publish("e", 1, EventKind.REGISTERED)
            summary = await finished(observer)
    assert of_verdicts(summary) == {"stale": 1}
    assert summary["replies"]["404"] > 1


async def test_a_lasting_difference_after_a_foreign_event_is_stale(stage: Stage) -> None:
    stage.collection.insert_one(document("e", None, k=2))
    options = ObserverOptions(Policy(give_up=0.5, settle=0.1), count=1)
    with stage.frozen(answer(None, k=1)):
        async with stage.observing(options) as observer:
            await stage.publish("e", None)
            summary = await finished(observer)
    assert of_verdicts(summary) == {"stale": 1}
    assert summary["evidence"] == {"version": 0, "store": 1}


# --- races
async def test_a_further_event_or_write_explains_a_difference(stage: Stage) -> None:
    """Between the event and its check somebody wrote; the responder need not know of it yet."""
    ids = ("further-event", "further-write")
    stage.collection.insert_many([document(id_, None, k=2) for id_ in ids])
    options = ObserverOptions(Policy(give_up=20, settle=0.1), count=3)
    with stage.frozen(answer(None, k=1)) as responder:
        async with stage.observing(options) as observer:
            for id_ in ids:
                await stage.publish(id_, None)
            await until(lambda: observer.counts.questions >= 6)
            stage.collection.replace_one({"_id": "further-write"}, document("further-write", None, k=3))
            await responder.thaw(answer(None, k=2))
            await stage.publish("further-event", None)
            summary = await finished(observer)
    assert of_verdicts(summary) == {"ambiguous": 2, "fresh": 1}
    assert summary["worstStalenessSeconds"] == 0


async def test_what_was_deleted_or_made_anew_meanwhile_is_not_stale(stage: Stage) -> None:
    stage.collection.insert_many(
        [document("made-anew", 5, k=5), {"_id": "deleted", "version": 4, "deleted_at": 1}]
    )
    options = ObserverOptions(count=2)
    with stage.frozen(NOT_FOUND):
        async with stage.observing(options) as observer:
            await stage.publish("deleted", 3)
            await stage.publish("made-anew", 3)
            summary = await finished(observer)
    assert of_verdicts(summary) == {"fresh": 1, "ambiguous": 1}


# --- outages
@pytest.mark.faults
async def test_it_comes_back_after_nats_was_away(
    mongod: MongoServer, mongo_database: str, instance_name: str, collection: Any, tmp_path: Path
) -> None:
    server = start_nats(tmp_path / "nats")
    settings = register_settings(server.url, mongod.uri, instance_name, mongo_database)
    collection.insert_one(document("e", 2, k=2))
    options = ObserverOptions(Policy(patience=60), count=2)
    try:
        async with observing(settings, options) as observer:
            async with connected(server.url) as nc:
                await publish(nc, instance_name, "e", 2)
                await until(lambda: observer.counts.questions)
            server.kill()
            server.restart()
            async with asyncio.timeout(30), connected(server.url) as nc:
                await observer.hearing.wait()
                with frozen(nc, server.url, instance_name, answer(2, k=2), tmp_path):
                    await publish(nc, instance_name, "e", 2)
                    summary = await finished(observer)
    finally:
        server.stop()
    assert of_verdicts(summary) == {"fresh": 2}
    assert summary["gaps"] >= 1


@pytest.mark.faults
async def test_without_mongo_it_judges_by_versions_and_then_compares_again(
    nats_server: NatsServer, instance_name: str, nc: NatsClient, tmp_path: Path
) -> None:
    server = start_mongod(tmp_path / "mongo")
    settings = register_settings(nats_server.url, server.uri, instance_name, "epr", store={"timeout": 0.5})
    options = ObserverOptions(Policy(patience=0.5))
    try:
        with (
            MongoClient[dict[str, Any]](server.uri) as client,
            frozen(nc, nats_server.url, instance_name, answer(2, k=2), tmp_path),
        ):
            client["epr"]["endpoints"].insert_one(document("e", 2, k=2))
            async with observing(settings, options) as observer:
                server.kill()
                await publish(nc, instance_name, "e", 2)
                await publish(nc, instance_name, "e", None)
                await ended(observer, 2)
                assert of_verdicts(observer.summary()) == {"fresh": 1, "ambiguous": 1}
                assert observer.counts.judged_without_store
                assert observer.store_failure is not None
                server.restart()
                for number in range(3, 40):
                    await publish(nc, instance_name, "e", None)
                    await ended(observer, number)
                    if observer.counts.verdicts[Verdict.FRESH] == 2:
                        break
                assert of_verdicts(observer.summary())["fresh"] == 2
                assert observer.store_failure is None
    finally:
        server.stop()


async def ended(observer: Any, count: int) -> None:
    await until(lambda: sum(observer.counts.verdicts.values()) >= count)


# --- limits
async def test_what_exceeds_a_limit_is_skipped_and_counted(stage: Stage) -> None:
    options = ObserverOptions(Policy(delay=3600), max_per_second=5, max_concurrent=3)
    async with stage.observing(options) as observer:
        for number in range(10):
            await stage.publish(f"e{number}", 1)
        await until(lambda: observer.counts.events == 10)
        assert observer.numbers()["open"] == 3
    summary = observer.summary()
    assert summary["checked"] == 3
    assert summary["skipped"] == {"rate": 0, "concurrency": 7}
    assert of_verdicts(summary) == {"unfinished": 3}


async def test_more_than_the_rate_is_skipped_and_counted(stage: Stage) -> None:
    options = ObserverOptions(Policy(delay=3600), max_per_second=0.1)
    async with stage.observing(options) as observer:
        for number in range(5):
            await stage.publish(f"e{number}", 1)
        await until(lambda: observer.counts.events == 5)
    assert observer.summary()["skipped"] == {"rate": 4, "concurrency": 0}


async def test_without_answers_a_check_ends_by_what_it_met(stage: Stage) -> None:
    options = ObserverOptions(Policy(patience=0.2), count=1)
    async with stage.observing(options) as observer:
        await stage.publish("e", 1)
        summary = await finished(observer)
    assert of_verdicts(summary) == {"unanswered": 1}
