"""SIGHUP: certificates, users, keys and the log level change while all is in use; nothing fails or hangs."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import trustme
import yaml
from nats.aio.client import Client as NatsClient

from kaa_epr.embedded import MongoServer, NatsServer
from tests.flows.register_support import EpmmpCaller
from tests.flows.test_register_security import AUDIENCE, ISSUER, Issuer
from tests.nats.harness import Store, ask, connected, merged, settings_of
from tests.nats.process import Process, running
from tests.support.command import START_TIMEOUT
from tests.support.locked_mongo import ROOT, Locked
from tests.support.proxy import Proxy
from tests.support.waiting import until

REGISTER: Final = {"enabled": True, "security": {"enabled": False}, "rest": {"port": 0}}


@pytest.fixture
def store(mongod: MongoServer, mongo_database: str) -> Iterator[Store]:
    made = Store(mongod.uri, mongo_database)
    made.put("e-1", n=0)
    yield made
    made.close()


@pytest.fixture
def settings(nats_server: NatsServer, store: Store, instance_name: str) -> dict[str, Any]:
    made = settings_of(nats_server.url, store.uri, store.database, instance_name, register=REGISTER)
    return merged(made, {"service": {"drain_timeout": 5.0}})


async def reload(process: Process, settings: dict[str, Any] | None = None) -> None:
    """Asks for it; ``settings`` go into the file before."""
    if settings is not None:
        process.config_file.write_text(yaml.safe_dump(settings))
    process.signal(signal.SIGHUP)


class Load:
    """Asks all the time; what one question says but ``True`` is a failure."""

    def __init__(self) -> None:
        self.answered = 0
        self.stopping = False

    async def run(self, question: Any) -> None:
        while not self.stopping:
            assert await question()
            self.answered += 1

    async def more(self, number: int = 20) -> None:
        goal = self.answered + number
        await until(lambda: self.answered >= goal, "load goes on")


@asynccontextmanager
async def load(*questions: Any) -> AsyncIterator[Load]:
    made = Load()
    async with asyncio.TaskGroup() as group:
        for question in questions:
            group.create_task(made.run(question))
        await made.more()
        yield made
        made.stopping = True


# --- the certificate of REST
def install(authority: trustme.CA, directory: Path) -> None:
    """Replaces what is mounted."""
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(directory / "key.pem"))
    for number, part in enumerate(issued.cert_chain_pems):
        part.write_to_path(str(directory / "cert.pem"), append=number > 0)


async def test_the_certificate_of_rest_is_replaced_under_load(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    before, after = trustme.CA(), trustme.CA()
    context = ssl.create_default_context()
    for authority in (before, after):
        authority.configure_trust(context)
    only_after = ssl.create_default_context()
    after.configure_trust(only_after)
    install(before, tmp_path)
    tls = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    given = merged(settings, {"register": {"rest": {"port": 0, "tls": tls}}})
    async with running(tmp_path, given) as process:
        await until(process.ready_file.exists, "it is ready", START_TIMEOUT)
        url = f"{process.ready['rest']}/api/v1/endpoints/e-1/metadata/n"
        # One keeps its connection, the other makes one for each request.
        async with httpx.AsyncClient(verify=context, trust_env=False, timeout=30) as lasting:

            async def by_the_same() -> bool:
                return (await lasting.put(url, json=1)).status_code == 200

            async def by_another() -> bool:
                async with httpx.AsyncClient(verify=context, trust_env=False, timeout=30) as client:
                    return (await client.get(url)).status_code == 200

            async def as_new() -> bool:
                async with httpx.AsyncClient(verify=only_after, trust_env=False, timeout=30) as client:
                    return (await client.get(url)).status_code == 200

            async with load(by_the_same, by_another, by_another) as pressed:
                install(after, tmp_path)
                await reload(process)
                assert "REST certificate" in (await process.logged("reloaded"))["parts"]
                assert await as_new()
                await pressed.more()
                (tmp_path / "key.pem").write_text("no key")
                await reload(process)
                refused = await process.logged("reload refused")
                assert refused["part"] == "REST certificate"
                assert await as_new(), "the one before is still there"
                await pressed.more()
        assert await process.stop() == 0


# --- MongoDB's users
@pytest.fixture(scope="module")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with MongoServer(tmp_path_factory.mktemp("locked"), auth=ROOT) as made:
        yield made


@pytest.fixture
def locked(mongo_server: MongoServer) -> Iterator[Locked]:
    made = Locked(mongo_server)
    for user in ("before", "after"):
        made.add(user)
    document = {"_id": "e-1", "application_version": "a-v1", "version": 1, "metadata": []}
    made.admin.epr.endpoints.insert_one(document)
    yield made
    made.close()


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_the_user_of_mongodb_is_replaced_under_load(
    driver: str, locked: Locked, nats_server: NatsServer, instance_name: str, tmp_path: Path
) -> None:
    given = settings_of(nats_server.url, locked.server.uri, "epr", instance_name, register=REGISTER)
    # Nothing is answered from the cache, and the change stream is in use.
    given = merged(given, {"cache": {"max_age": 0.001}, "invalidation": {"change_stream": True}})
    given = merged(given, {"mongo": {"driver": driver, **locked.credentials("before")}})
    given["register"] = {**given["register"], "tombstone_retention": 0}
    async with running(tmp_path, given) as process, connected(nats_server.url) as peer:
        caller = EpmmpCaller(peer, instance_name)
        values = iter(range(1_000_000))

        async def get() -> bool:
            return bool((await ask(peer, instance_name, "e-1"))["statusCode"] == 200)

        async def write() -> bool:
            value = b"%d" % next(values)
            answer = await caller.call("key-update", endpointId="e-1", metadataKey="n", metadataValue=value)
            return bool(answer["statusCode"] == 200)

        async with load(get, get, write) as pressed:
            after = merged(given, {"mongo": locked.credentials("after")})
            await reload(process, after)
            assert "MongoDB" in (await process.logged("reloaded"))["parts"]
            await until(lambda: not locked.connections_of("before"), "the first user's are closed")
            locked.drop("before")
            await pressed.more()
            wrong = merged(given, {"mongo": {**locked.credentials("after"), "password": "hush"}})
            await reload(process, wrong)
            assert (await process.logged("reload refused"))["part"] == "MongoDB"
            await pressed.more()
            await reload(process, after)
            await process.logged("reloaded", 2)
        assert not [line for line in process.log if "hush" in str(line)]
        assert await process.stop() == 0


# --- the keys of tokens
async def test_keys_of_tokens_are_fetched_at_once(settings: dict[str, Any], tmp_path: Path) -> None:
    before, after = Issuer(), Issuer()
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps(before.jwks()))
    security = {"jwks": str(keys), "issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["ES256"]}
    given = merged(settings, {"register": {"security": security}})
    async with running(tmp_path, given) as process:
        await until(process.ready_file.exists, "it is ready", START_TIMEOUT)
        async with httpx.AsyncClient(base_url=process.ready["rest"], trust_env=False, timeout=30) as http:

            async def status(issuer: Issuer) -> int:
                headers = {"Authorization": f"Bearer {issuer.token()}"}
                return (await http.get("/api/v1/endpoints/e-1/metadata", headers=headers)).status_code

            assert (await status(before), await status(after)) == (200, 401)
            keys.write_text(json.dumps(after.jwks()))
            await reload(process)
            assert "token keys" in (await process.logged("reloaded"))["parts"]
            assert (await status(before), await status(after)) == (401, 200)
            keys.write_text("nonsense")
            await reload(process)
            assert (await process.logged("reload refused"))["part"] == "token keys"
            assert await status(after) == 200
        assert await process.stop() == 0


# --- what is told
async def test_what_needs_a_restart_is_named_once_and_without_its_value(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    async with running(tmp_path, settings) as process:
        wanted = merged(settings, {"cache": {"max_bytes": "77MiB"}, "log": {"level": "warning"}})
        wanted = merged(wanted, {"service": {"instance_name": "somebody-else"}})
        for times in (1, 2):
            await reload(process, wanted)
            line = await process.logged("settings that need a restart have changed", times)
            assert sorted(line["keys"]) == ["cache.max_bytes", "service.instance_name"]
            assert "somebody-else" not in str(line)
        await reload(process, settings)
        await process.logged("reloaded")
        told = [line["event"] for line in process.log if line["level"] != "debug"]
        assert sum("need a restart" in event for event in told) == 2, "nothing differs any more"
        assert told.count("reloaded") == 1, "the log level was taken over"
        assert await process.stop() == 0


# --- links that carry nothing
@asynccontextmanager
async def behind_proxies(
    settings: dict[str, Any], mongo_server: MongoServer, nats_server: NatsServer, directory: Path
) -> AsyncIterator[tuple[Process, Proxy, Proxy, NatsClient]]:
    async with Proxy(mongo_server.port) as mongo, Proxy(nats_server.port) as nats:
        given = merged(settings, {"nats": {"servers": [nats.url]}})
        given["mongo"]["uri"] = f"mongodb://127.0.0.1:{mongo.listens_on}/?directConnection=true"
        async with running(directory, given) as process, connected(nats_server.url) as peer:
            yield process, mongo, nats, peer


async def test_a_half_open_link_keeps_no_reload(
    settings: dict[str, Any],
    mongod: MongoServer,
    nats_server: NatsServer,
    instance_name: str,
    tmp_path: Path,
) -> None:
    """First what is there carries nothing, then nothing new does; in the end all is well."""
    async with behind_proxies(settings, mongod, nats_server, tmp_path) as (process, _, nats, peer):
        nats.freeze()
        await reload(process)
        await process.logged("reloaded")
        await until(lambda: answered(peer, instance_name), "gets are answered on the new connection")
        nats.stop_forwarding()
        await reload(process)
        assert (await process.logged("reload refused"))["part"] == "NATS"
        assert "NATS" not in (await process.logged("only some was taken over"))["parts"]
        nats.go_on()
        await reload(process)
        await process.logged("reloaded", 2)
        await until(lambda: answered(peer, instance_name), "gets are answered")
        assert await process.stop() == 0


async def test_a_stop_does_not_wait_for_a_reload_that_gets_nowhere(
    settings: dict[str, Any], mongod: MongoServer, nats_server: NatsServer, tmp_path: Path
) -> None:
    given = merged(settings, {"nats": {"connect_timeout": 60}})
    async with behind_proxies(given, mongod, nats_server, tmp_path) as (process, _, nats, _):
        accepted = nats.accepted
        nats.stop_forwarding()
        await reload(process)
        await until(lambda: nats.accepted > accepted, "it tries to connect")
        begun = time.monotonic()
        process.signal(signal.SIGTERM)
        assert await process.end() == 0
        assert time.monotonic() - begun < 5.0 + 10.0


async def answered(peer: NatsClient, instance_name: str) -> bool:
    try:
        async with asyncio.timeout(1):
            return bool((await ask(peer, instance_name, "e-1"))["statusCode"] == 200)
    except TimeoutError:
        return False
