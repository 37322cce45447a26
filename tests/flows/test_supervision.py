"""Each kind of background work meets an error that nobody expected, in a service that runs: all goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any, Final, NamedTuple

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from kaa_epr.config.settings import Settings
from kaa_epr.service import Service
from tests.flows.register_support import EpmmpCaller, rest_client, serving
from tests.nats.harness import Store
from tests.support.http_client import plain_client
from tests.support.waiting import until

SECRET: Final = "a stored value"
VALUES: Final = (b"%d" % number for number in count(1))


@pytest.fixture
def store(settings_here: Callable[..., Settings], mongod: Any, mongo_database: str) -> Any:
    made = Store(mongod.uri, mongo_database)
    made.put("e-1", n=0)
    yield made
    made.close()


@pytest.fixture
async def service(settings_here: Callable[..., Settings], store: Store) -> AsyncIterator[Service]:
    settings = settings_here(
        management={"port": 0},
        invalidation={"change_stream": True, "scrub_per_second": 5},
        store={"probe_interval": 0.05, "trip_after": 1},
    )
    async with serving(settings) as running:
        yield running


@pytest.fixture
async def management(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    assert service._management is not None
    async with plain_client(service._management.url) as client:
        yield client


class Fault(NamedTuple):
    """A method that work of a name calls, and what makes it call it."""

    task: str
    where: Callable[[Service], Any]
    method: str
    provoke: Callable[[Service, EpmmpCaller], Awaitable[Any]] | None = None


async def write(service: Service, caller: EpmmpCaller) -> dict[str, Any]:
    return await caller.call("key-update", endpointId="e-1", metadataKey="n", metadataValue=next(VALUES))


async def cache(service: Service, caller: EpmmpCaller) -> None:
    assert await caller.call("keys-get", endpointId="e-1")


async def connect_anew(service: Service, caller: EpmmpCaller) -> None:
    assert service.link._session is not None
    await service.link._session.client.close()


async def register_some(service: Service, caller: EpmmpCaller) -> None:
    body = {"appVersion": {"name": "a-v1"}, "endpoints": [{"endpointId": "e-2"}]}
    async with rest_client(service) as http:
        await http.post("/endpoints/batch", json=body)


FAULTS: Final = (
    Fault("sweeper", lambda s: s.store, "outboxes"),
    Fault("batch_tasks", lambda s: s.store, "claim_task", register_some),
    Fault("clearing", lambda s: s.store, "clear_outboxes", write),
    Fault("heartbeats", lambda s: s.register and s.register.outlet, "write"),
    Fault("change_stream", lambda s: s.store, "more"),
    Fault("scrubber", lambda s: s.witness.scrubber, "scrub", cache),
    Fault("loader", lambda s: s.loader, "_write_answers"),
    Fault("bugs", lambda s: s, "_report_bugs"),
    Fault("link", lambda s: s, "opened", connect_anew),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.task)
async def test_it_is_told_of_begins_anew_and_recovers(
    fault: Fault,
    service: Service,
    management: httpx.AsyncClient,
    caller: EpmmpCaller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise LookupError(SECRET)

    async def work() -> str | None:
        answer = (await management.get("/health/ready")).json()
        assert SECRET not in str(answer)
        reason: str | None = answer["components"]["background work"].get("reason")
        return reason

    async def failures() -> float:
        text = (await management.get("/metrics")).text
        assert SECRET not in text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "kaa_epr_task_failures_total" and sample.labels["task"] == fault.task
        )

    assert await work() is None
    with capture_logs() as lines, monkeypatch.context() as patch:
        patch.setattr(fault.where(service), fault.method, fail)
        if fault.provoke is not None:
            await fault.provoke(service, caller)

        async def told() -> bool:
            return f"{fault.task}: LookupError" in (await work() or "")

        await until(told, "health tells of it")
    assert [line for line in lines if line.get("task") == fault.task and line["log_level"] == "error"]
    assert await failures() >= 1
    if fault.provoke is not None and fault.task != "link":
        await fault.provoke(service, caller)

    async def well() -> bool:
        return await work() is None

    await until(well, "it recovers")
    await until(lambda: service.health.report().status == "UP", "all of it is up")
    assert (await write(service, caller))["statusCode"] == 200
