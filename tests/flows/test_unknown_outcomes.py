"""Changes whose outcome the store left open: what clients are told, and that nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from bson import Int64

from kaa_epr.config.settings import Settings
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.mongo import open_store
from kaa_epr.mongo.documents import Endpoint
from kaa_epr.mongo.transfer import Batch, BatchOutcome, GoodLine
from kaa_epr.nats.publisher import Publisher
from kaa_epr.nats.publishing import publishing
from kaa_epr.nats.writer import WriterNumbers
from kaa_epr.refusals import Stored, Unavailable
from kaa_epr.register.commit.collaborators import Collaborators, PipelineLimits, event_limit
from kaa_epr.register.commit.pipeline import Pipeline
from kaa_epr.register.decide.api import Outcome, Request
from kaa_epr.register.decide.planners import select_planner
from kaa_epr.register.importing import EventfulImport
from kaa_epr.register.intake.pure_value import PureValue
from kaa_epr.register.limits import rules_of
from tests.flows.register_support import EpmmpCaller, Listener, register_settings, rest_client, serving
from tests.support.planning import items
from tests.support.proxy import Proxy
from tests.support.stages import Stages
from tests.support.waiting import until

pytestmark = pytest.mark.faults
QUICK: Final = {"claim_expiry": 1, "store_timeout": 0.5}
PERHAPS: Final = "Perhaps the change is stored: the endpoint store did not confirm it"


@pytest.fixture
async def link(mongod: MongoServer) -> AsyncIterator[Proxy]:
    """Between the store and MongoDB."""
    async with Proxy(mongod.port) as proxy:
        yield proxy


@pytest.fixture
def settings(
    link: Proxy, driver: str, nats_server: NatsServer, instance_name: str, mongo_database: str
) -> Settings:
    return register_settings(
        nats_server.url,
        f"mongodb://127.0.0.1:{link.listens_on}/?directConnection=true",
        instance_name,
        mongo_database,
        mongo={"driver": driver},
        register=QUICK,
    )


@pytest.fixture
def endpoint(collection: Any) -> Any:
    """One that is stored; the collection."""
    document = {"_id": "e", "application": "app", "application_version": "app-v1", "version": Int64(1)}
    collection.insert_one(document | {"metadata": [{"key": "a", "value": 1}]})
    return collection


async def test_an_unknown_outcome_is_told_and_its_event_follows(
    settings: Settings, link: Proxy, endpoint: Any, listener: Listener, caller: EpmmpCaller
) -> None:
    stages = Stages()
    async with serving(settings, stages) as service, rest_client(service) as http:
        stages.at("planned", lambda: link.stop_forwarding("to_client"))
        answer = await http.put("/endpoints/e/metadata/a", json=2)
        assert (answer.status_code, answer.json()["message"]) == (503, PERHAPS)
        assert answer.headers["kaa-epr-stored"] == "unknown"
        assert endpoint.find_one({"_id": "e"})["version"] == 2
        link.go_on()
        assert [event.version for event in await listener.wait_for(1)] == [2]

        stages.at("planned", lambda: link.stop_forwarding("to_client"))
        told = await caller.call("key-update", endpointId="e", metadataKey="a", metadataValue=b"3")
        assert (told["statusCode"], told["reasonPhrase"]) == (503, PERHAPS)
        link.go_on()
        assert [event.version for event in await listener.wait_for(2)] == [2, 3]


async def test_what_is_certainly_not_stored_is_told_as_such(
    settings: Settings, link: Proxy, endpoint: Any, caller: EpmmpCaller
) -> None:
    async with serving(settings) as service, rest_client(service) as http:
        link.refusing = True
        link.cut()
        answer = await http.put("/endpoints/e/metadata/a", json=2)
        told = await caller.call("key-update", endpointId="e", metadataKey="a", metadataValue=b"3")
        assert answer.json()["message"] == told["reasonPhrase"] == "Endpoint store is unavailable"
        assert told["statusCode"] == answer.status_code == 503
        assert answer.headers["kaa-epr-stored"] == "no"
        read = await http.get("/endpoints/e")
        assert (read.status_code, "kaa-epr-stored" in read.headers) == (503, False)
    assert endpoint.find_one({"_id": "e"})["version"] == 1


async def test_a_batch_is_not_told_as_undone_when_only_a_part_is(
    settings: Settings, endpoint: Any, caller: EpmmpCaller
) -> None:
    # Its claim does not expire here.
    patient = settings.register_.model_copy(update={"claim_expiry": 3600})
    busy = {"outbox": [], "outbox_claim": {"by": "another", "id": "x", "at": datetime.now(UTC)}}
    endpoint.insert_one({"_id": "busy", "version": Int64(1), **busy})
    commands = [{"endpointId": id_, "metadataKey": "a", "metadataValue": b"2"} for id_ in ("busy", "e")]
    async with serving(settings.model_copy(update={"register_": patient})):
        told = await caller.call("key-batch-update", commands=commands)
        assert told["statusCode"] == 503
        assert told["reasonPhrase"].startswith("Perhaps the change is stored: not for all endpoints")
        only = await caller.call("key-batch-update", commands=commands[:1])
        assert only["reasonPhrase"] == "Events of an earlier change are not published yet"
    assert endpoint.find_one({"_id": "e"})["version"] == 2


@asynccontextmanager
async def observed(settings: Settings, stages: Stages) -> AsyncIterator[Collaborators]:
    """Whom a register's batches work with, and no sweeper."""
    store = open_store(settings.mongo, settings.store)
    numbers = WriterNumbers("epr")
    limits = PipelineLimits(store_timeout=0.5, claim_expiry=1)
    planner = select_planner(settings.engine, rules_of(settings.register_))
    try:
        async with publishing(settings.nats, "test", 20) as outlet:
            yield Collaborators(
                store,
                Publisher("epr", outlet, numbers),
                planner,
                lambda: event_limit(outlet.max_payload),
                "test",
                limits,
                on_stage=stages,
            )
    finally:
        await store.close()


def import_line(collaborators: Collaborators) -> asyncio.Task[BatchOutcome]:
    """An import of one line."""
    pipeline = Pipeline(collaborators)
    batch = Batch(good={"e": GoodLine(7, Endpoint("e", "app", "app-v1"))})
    importing = EventfulImport(pipeline, collaborators.planner, PureValue.of_document, "test", 20)
    return asyncio.create_task(importing.write(batch))


async def test_an_import_does_not_undo_what_others_did_after_its_unknown_try(
    settings: Settings, link: Proxy, collection: Any
) -> None:
    """Registered, perhaps; deleted by somebody; it must not come back."""
    stages = Stages()
    async with observed(settings, stages) as collaborators:
        stages.at("planned", lambda: link.stop_forwarding("to_client"))
        importing = import_line(collaborators)
        await collaborators.unpublished.wait()
        assert collection.find_one({"_id": "e"})["version"] == 1
        gone = {"_id": "e", "version": Int64(2), "deleted_at": datetime.now(UTC)}
        collection.replace_one({"_id": "e"}, gone)
        link.go_on()
        outcome = await importing
    assert (outcome.created, outcome.changed, outcome.unchanged) == ([], [], 0)
    ((line, reason, endpoint_id),) = outcome.bad
    assert (line, endpoint_id, "was changed since" in reason) == (7, "e", True)
    assert collection.find_one({"_id": "e"})["version"] == 2


async def test_an_import_finds_its_unknown_try_done(settings: Settings, link: Proxy, collection: Any) -> None:
    stages = Stages()
    async with observed(settings, stages) as collaborators:
        stages.at("planned", lambda: link.stop_forwarding("to_client"))
        importing = import_line(collaborators)
        await collaborators.unpublished.wait()
        assert collection.find_one({"_id": "e"})["version"] == 1
        collection.update_one({"_id": "e"}, {"$unset": {"outbox": "", "outbox_claim": ""}})
        link.go_on()
        assert await importing == BatchOutcome(created=["e"])
    assert collection.find_one({"_id": "e"})["version"] == 1


async def test_an_import_tries_again_what_did_not_arrive(
    settings: Settings, link: Proxy, collection: Any
) -> None:
    stages = Stages()
    async with observed(settings, stages) as collaborators:
        stages.at("planned", lambda: link.freeze("to_server"))
        assert await import_line(collaborators) == BatchOutcome(created=["e"])
        assert collaborators.unpublished.is_set()
    assert collection.find_one({"_id": "e"})["version"] == 1


async def test_who_is_cut_short_is_told_that_it_may_be_stored(
    settings: Settings, link: Proxy, endpoint: Any
) -> None:
    """Nobody is left waiting at the end of a process."""
    stages = Stages()
    async with observed(settings, stages) as collaborators:
        pipeline = Pipeline(collaborators)

        def put(value: int) -> asyncio.Future[Outcome]:
            command = collaborators.planner.put_keys(items({"a": value}))
            return pipeline.enqueue("e", Request(command, "c"))

        stages.at("planned", lambda: link.stop_forwarding("to_client"))
        writing = put(2)
        await until(lambda: endpoint.find_one({"_id": "e", "version": 2}), "stored")
        waiting = put(3)
        assert not await pipeline.drain(0)
        refusals = await asyncio.gather(writing, waiting, return_exceptions=True)
        link.go_on()
    assert [isinstance(refusal, Unavailable) for refusal in refusals] == [True, True]
    assert [refusal.stored for refusal in refusals] == [Stored.UNKNOWN, Stored.NO]  # type: ignore[union-attr]
