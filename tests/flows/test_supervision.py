"""Each kind of background work meets an error that nobody expected, in a service that runs: all goes on.

It is logged, counted, shown by health, begun anew, and forgotten once it goes well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from kaa_epr.config.settings import Settings
from kaa_epr.embedded import NatsServer
from kaa_epr.http import auth, key_source
from kaa_epr.mongo.errors import StoreTimeout
from kaa_epr.mongo.handle import Handle
from kaa_epr.nats import internals
from kaa_epr.register.batches import working
from kaa_epr.service import Service
from tests.flows.register_support import EpmmpCaller, rest_client
from tests.nats.harness import Store
from tests.support.http_client import plain_client
from tests.support.waiting import until

SECRET: Final = "a stored value"
VALUES: Final = (b"%d" % number for number in count(1))


Settle = Callable[[Service, EpmmpCaller], Awaitable[Any]]


class Fault(NamedTuple):
    """A method that work of a name calls, and what makes it call it."""

    task: str
    where: Callable[[Service], Any]
    method: str
    provoke: Settle | None = None
    again: Settle | None = None
    """What makes work that comes in pieces do one that goes well."""
    early: bool = False
    """The work calls the method once when the service starts, and then not for long."""
    settings: Mapping[str, Any] = {}


@pytest.fixture
def store(settings_here: Callable[..., Settings], mongod: Any, mongo_database: str) -> Iterator[Store]:
    made = Store(mongod.uri, mongo_database)
    made.put("e-1", n=0)
    yield made
    made.close()


@pytest.fixture
def settings(
    settings_here: Callable[..., Settings], nats_server: NatsServer, store: Store
) -> Callable[..., Settings]:
    """Of a service that has all of the work, and no long pauses."""

    def made(*, fast_path: str = "auto", **groups: Any) -> Settings:
        return settings_here(nats={"servers": [nats_server.url], "fast_path": fast_path}, **groups)

    return partial(
        made,
        management={"port": 0},
        invalidation={"change_stream": True, "scrub_per_second": 5},
        store={"probe_interval": 0.05, "trip_after": 1},
    )


@asynccontextmanager
async def begun(settings: Settings, first: Callable[[Service], None]) -> AsyncIterator[Service]:
    """A service that is told to start, and perhaps is not ready yet; ``first`` comes before that."""
    service = Service(settings)
    first(service)
    await service.start()
    try:
        yield service
    finally:
        await service.drain()


# --- what makes work do something ---------------------------------------------------------------------------
async def write(service: Service, caller: EpmmpCaller) -> dict[str, Any]:
    return await caller.call("key-update", endpointId="e-1", metadataKey="n", metadataValue=next(VALUES))


async def cache(service: Service, caller: EpmmpCaller) -> None:
    assert await caller.call("keys-get", endpointId="e-1")


async def load(service: Service, caller: EpmmpCaller) -> None:
    """One endpoint that is not cached: whoever asks is answered, whatever happens to the load."""
    answer = await caller.call("keys-get", endpointId=f"nobody-{next(VALUES).decode()}")
    assert answer["statusCode"] in (404, 503)


async def connect_anew(service: Service, caller: EpmmpCaller) -> None:
    assert service.link._session is not None
    await service.link._session.client.close()


async def ping(service: Service, caller: EpmmpCaller) -> None:
    assert service.link._session is not None
    service.link._session.ping()


async def deafen(service: Service, caller: EpmmpCaller) -> None:
    """As when the server does not confirm what it is subscribed to."""
    assert service.link._session is not None
    service.link._session._set_hearing(False)


async def lose_store(service: Service, caller: EpmmpCaller) -> None:
    service.loader._count_failure(StoreTimeout("load", 1.0), 1)


async def register_some(service: Service, caller: EpmmpCaller) -> None:
    body = {"appVersion": {"name": "a-v1"}, "endpoints": [{"endpointId": "e-2", "metadata": {}}]}
    async with rest_client(service) as http:
        answer = await http.post("/endpoints/batch", json=body)
    assert answer.status_code == 202, answer.text


async def show_token(service: Service, caller: EpmmpCaller) -> None:
    """Whose key nobody knows."""
    token = jwt.encode({}, ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": "k"})
    async with rest_client(service) as http:
        answer = await http.get("/endpoints", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in (401, 503)


async def replace_store(service: Service, caller: EpmmpCaller) -> None:
    """As a reload does where credentials have changed."""
    mongo = service.settings.mongo
    uri = f"{mongo.uri.get_secret_value()}&appName=a{next(VALUES).decode()}"
    closing = await service.store.replace(mongo.model_copy(update={"uri": type(mongo.uri)(uri)}), 10)
    assert closing is not None
    service._old_clients.run(closing)


TOKENS: Final = {"security": {"jwks": __file__, "issuer": "i", "audience": "a", "algorithms": ["ES256"]}}
"""The keys are read, and are none: what is here is no JSON."""
FAULTS: Final = (
    Fault("sweeper", lambda s: s.store, "outboxes"),
    Fault("batch_tasks", lambda s: s.store, "claim_task", register_some),
    Fault("batch_task", lambda s: working.Work, "carry_out", register_some, register_some),
    Fault("clearing", lambda s: s.store, "clear_outboxes", write, write),
    Fault("heartbeats", lambda s: s.register and s.register.outlet, "write"),
    Fault("purge", lambda s: s.store, "claim_purge", early=True),
    Fault("indexes", lambda s: s.store, "ensure_tasks", early=True),
    Fault("token_keys", lambda s: key_source, "read", show_token, show_token, settings={"register": TOKENS}),
    Fault("change_stream", lambda s: s.store, "more"),
    Fault("scrubber", lambda s: s.witness.scrubber, "scrub", cache),
    Fault("loader", lambda s: s.loader, "_write_answers"),
    Fault("loads", lambda s: s.store, "load", load, load),
    Fault("store_probe", lambda s: s.store, "ping", lose_store),
    Fault("bugs", lambda s: s, "_report_bugs"),
    Fault("link", lambda s: s, "opened", connect_anew),
    Fault("link_ping", lambda s: internals, "send_ping", ping, ping),
    Fault("link_mend", lambda s: s.link._session and s.link._session.subscriptions, "make_events", deafen),
    Fault("link_drain", lambda s: internals, "drain", load, load, settings={"fast_path": "off"}),
    Fault("old_clients", lambda s: Handle, "idle", replace_store, replace_store),
)


class Watcher:
    """What the management server of a service tells of its background work, never a value."""

    def __init__(self, service: Service, http: httpx.AsyncClient, task: str) -> None:
        self._service = service
        self._http = http
        self._task = task

    async def reason(self) -> str | None:
        answer = (await self._http.get("/health/ready")).json()
        assert SECRET not in str(answer)
        told: str | None = answer["components"]["background work"].get("reason")
        return told

    async def told(self) -> bool:
        return f"{self._task}: LookupError" in (await self.reason() or "")

    async def well(self) -> bool:
        return await self.reason() is None and self._service.health.report().status == "UP"

    async def failures(self) -> float:
        text = (await self._http.get("/metrics")).text
        assert SECRET not in text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "kaa_epr_task_failures_total" and sample.labels["task"] == self._task
        )


def fail(*_args: Any, **_kwargs: Any) -> Any:
    raise LookupError(SECRET)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.task)
async def test_it_is_told_of_begins_anew_and_recovers(
    fault: Fault,
    settings: Callable[..., Settings],
    caller: EpmmpCaller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auth, "_MIN_REFRESH_SECONDS", 0.0)
    with capture_logs() as lines, monkeypatch.context() as patch:

        def first(service: Service) -> None:
            if fault.early:
                patch.setattr(fault.where(service), fault.method, fail)

        async with begun(settings(**fault.settings), first) as service:
            assert service._management is not None
            async with plain_client(service._management.url) as http:
                watcher = Watcher(service, http, fault.task)
                if not fault.early:
                    await service.wait_ready()
                    assert await watcher.reason() is None
                    patch.setattr(fault.where(service), fault.method, fail)
                if fault.provoke is not None:
                    await fault.provoke(service, caller)
                await until(watcher.told, "health tells of it")
                assert await watcher.failures() >= 1
                patch.undo()
                await service.wait_ready()
                if fault.again is not None:
                    await fault.again(service, caller)
                await until(watcher.well, "it recovers")
                assert (await write(service, caller))["statusCode"] == 200
    told = [line for line in lines if line.get("task") == fault.task and line["log_level"] == "error"]
    assert told
    assert all(isinstance(line["exc_info"], LookupError) for line in told)


async def test_there_is_no_other_work(settings: Callable[..., Settings]) -> None:
    """Whoever adds some shows here what becomes of it."""
    async with begun(settings(), lambda service: None) as service:
        await service.wait_ready()
        assert set(service.supervisor._records) <= {fault.task for fault in FAULTS}
