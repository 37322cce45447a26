"""Stopping and reloading under load: every get that the server delivered is answered."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kaa_epr.embedded import MongoServer, NatsServer, start_nats
from tests.nats.harness import Store, merged, settings_of
from tests.nats.process import flooding, running
from tests.property.support import needs_rust

PATHS = [
    pytest.param({"engine": "rust"}, id="fast", marks=needs_rust),
    pytest.param({"engine": "rust", "nats": {"fast_path": "off"}}, id="callbacks", marks=needs_rust),
]
LOADS = [
    pytest.param(lambda number: f"e-{number % 10}", id="hits"),
    # Never the same endpoint twice: every get waits for the store.
    pytest.param(lambda number: f"none-{number}", id="misses"),
]


@pytest.fixture
def store(mongod: MongoServer, mongo_database: str) -> Any:
    made = Store(mongod.uri, mongo_database)
    for number in range(10):
        made.put(f"e-{number}", model="m1", text="x" * 200)
    yield made
    made.close()


@pytest.mark.parametrize("ids", LOADS)
@pytest.mark.parametrize("path", PATHS)
async def test_sigterm_under_load_loses_none(
    path: dict[str, Any],
    ids: Callable[[int], str],
    nats_server: NatsServer,
    store: Store,
    instance_name: str,
    tmp_path: Path,
) -> None:
    settings = settings_of(nats_server.url, store.uri, store.database, instance_name, **path)
    async with running(tmp_path, settings) as service, flooding(nats_server.url, instance_name, ids) as flood:
        await flood.more(3000)
        assert flood.refused == 0
        assert await service.stop() == 0
        await flood.finish()
    assert flood.refused > 0, "nobody listened in the end"
    assert flood.sent == flood.answered + flood.refused


async def test_the_next_of_the_queue_group_takes_over(
    nats_server: NatsServer, store: Store, instance_name: str, tmp_path: Path
) -> None:
    settings = settings_of(nats_server.url, store.uri, store.database, instance_name)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        running(tmp_path / "one", settings) as one,
        running(tmp_path / "two", settings) as two,
        flooding(nats_server.url, instance_name, lambda number: f"e-{number % 10}") as flood,
    ):
        await flood.more(2000)
        assert await one.stop() == 0
        await flood.more(2000)
        await flood.finish()
        assert (flood.refused, flood.not_200) == (0, 0)
        assert await two.stop() == 0


@pytest.fixture
def users(tmp_path: Path) -> Any:
    """A server with one user, whose password the tests change."""
    server = start_nats(tmp_path, config_lines=_users("u", "old"))
    yield server
    server.stop()


def _users(*names_and_passwords: str) -> list[str]:
    pairs = zip(names_and_passwords[::2], names_and_passwords[1::2], strict=True)
    lines = ", ".join(f'{{user: "{name}", password: "{password}"}}' for name, password in pairs)
    return [f'authorization {{ users: [ {lines}, {{user: "peer", password: "peer"}} ] }}']


@pytest.mark.parametrize("ids", LOADS)
@pytest.mark.parametrize("path", PATHS)
async def test_a_reload_under_load_loses_none(
    path: dict[str, Any],
    ids: Callable[[int], str],
    nats_server: NatsServer,
    store: Store,
    instance_name: str,
    tmp_path: Path,
) -> None:
    settings = settings_of(nats_server.url, store.uri, store.database, instance_name, **path)
    async with running(tmp_path, settings) as service:
        async with flooding(nats_server.url, instance_name, ids) as flood:
            for round_ in (1, 2):
                await flood.more(1000)
                service.signal(signal.SIGHUP)
                await service.logged("reloaded", round_)
            await flood.more(1000)
            await flood.finish()
            assert flood.refused == 0
            assert flood.sent == flood.answered
        assert await service.stop() == 0


async def test_new_credentials_and_log_level(
    users: NatsServer, store: Store, instance_name: str, tmp_path: Path
) -> None:
    """The operator adds the new user, reloads the service, removes the old user."""
    old = {"user": "u", "password": "old"}
    settings = settings_of(users.url, store.uri, store.database, instance_name, nats=old)
    (tmp_path / "service").mkdir()
    async with running(tmp_path / "service", settings) as service:
        users.reload(_users("u", "old", "v", "new"))
        more = merged(settings, {"nats": {"user": "v", "password": "new"}, "log": {"level": "debug"}})
        service.config_file.write_text(yaml.safe_dump(more))
        service.signal(signal.SIGHUP)
        await service.logged("reloaded")
        users.reload(_users("v", "new"))
        service.signal(signal.SIGHUP)
        await service.logged("reloaded", 2)
        assert not [line for line in service.log if "new" in str(line.get("password", ""))]
        assert await service.stop() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"nats": {"user": "u", "password": "wrong"}}, id="wrong password"),
        pytest.param({"nats": {"servers": ["nats://127.0.0.1:9"]}}, id="no server"),
        pytest.param({"nats": {"colour": "red"}}, id="no such key"),
        pytest.param({"nats": {"nkey_seed_file": __file__}}, id="no seed"),
    ],
)
async def test_a_wrong_reload_is_refused_and_all_goes_on(
    wrong: dict[str, Any], users: NatsServer, store: Store, instance_name: str, tmp_path: Path
) -> None:
    old = {"user": "u", "password": "old"}
    settings = settings_of(users.url, store.uri, store.database, instance_name, nats=old)
    (tmp_path / "service").mkdir()
    async with running(tmp_path / "service", settings) as service:
        bad = merged(settings, wrong)
        if "nkey_seed_file" in wrong["nats"]:
            del bad["nats"]["user"], bad["nats"]["password"]
        service.config_file.write_text(yaml.safe_dump(bad))
        service.signal(signal.SIGHUP)
        line = await service.logged("reload refused")
        assert "old" not in line["error"].split()
        assert not [line for line in service.log if "nats connection lost" in line["event"]]
        service.config_file.write_text(yaml.safe_dump(settings))
        service.signal(signal.SIGHUP)
        await service.logged("reloaded")
        assert await service.stop() == 0
