"""A store whose client is replaced while it is in use: new credentials, new certificates, both drivers."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import trustme
from pymongo import UpdateOne

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings, MongoTlsSettings
from kaa_epr.embedded import MongoServer, MongoTls
from kaa_epr.mongo import StoreError, open_store
from kaa_epr.mongo.change_stream import ChangeCursor
from kaa_epr.mongo.errors import ChangeStreamMoved, StoreSettingsRefused
from kaa_epr.mongo.register_api import RegisterStore
from tests.support.locked_mongo import ROOT, Locked
from tests.support.proxy import Proxy
from tests.support.waiting import DEADLINE, until

SECONDS: Final = 5.0

pytestmark = pytest.mark.parametrize("driver", ["motor", "pymongo"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    options = ("--setParameter", "enableTestCommands=1")
    with MongoServer(tmp_path_factory.mktemp("locked"), auth=ROOT, options=options) as made:
        yield made


@pytest.fixture
def locked(server: MongoServer) -> Iterator[Locked]:
    made = Locked(server)
    for user in ("before", "after"):
        made.add(user)
    yield made
    made.close()


@asynccontextmanager
async def opened(mongo: MongoSettings, seconds: float = SECONDS) -> AsyncIterator[RegisterStore]:
    store = open_store(mongo, StoreSettings(timeout=seconds))
    try:
        yield store
    finally:
        await store.close()


class Use:
    """Loads, writes and a change stream, all the time; none may fail."""

    def __init__(self, store: RegisterStore) -> None:
        self._store = store
        self.loads = self.writes = self.changes = self.moves = 0
        self.done, self._written = asyncio.Event(), asyncio.Event()

    async def load(self) -> None:
        while not self.done.is_set():
            assert await self._store.load(["e"], SECONDS)
            self.loads += 1

    async def write(self) -> None:
        while not self.done.is_set():
            outcome = await self._store.write([UpdateOne({"_id": "e"}, {"$inc": {"version": 1}})], SECONDS)
            assert (outcome.applied, outcome.failures) == (1, ())
            self.writes += 1
        self._written.set()

    async def follow(self, stream: ChangeCursor) -> None:
        while not (self._written.is_set() and self.changes >= self.writes):
            try:
                self.changes += len((await stream.next(SECONDS)).changes)
            except ChangeStreamMoved:
                self.moves += 1
                position = stream.position
                await stream.close()
                stream = await self._store.watch(position, SECONDS)
        await stream.close()

    async def more(self) -> None:
        """Until each has got on."""
        loads, writes, changes = self.loads, self.writes, self.changes
        await until(
            lambda: self.loads > loads + 5 and self.writes > writes + 5 and self.changes > changes + 5
        )


@asynccontextmanager
async def in_use(store: RegisterStore, locked: Locked) -> AsyncIterator[Use]:
    locked.admin.epr.endpoints.insert_one({"_id": "e", "version": 0})
    use, stream = Use(store), await store.watch(None, SECONDS)
    async with asyncio.TaskGroup() as group:
        for work in (use.load(), use.load(), use.write(), use.follow(stream)):
            group.create_task(work)
        await use.more()
        yield use
        use.done.set()
    assert use.changes == use.writes, "the stream told of each write once"


async def test_another_user_takes_the_place_of_one_that_goes_while_all_is_in_use(
    locked: Locked, driver: str
) -> None:
    async with opened(locked.settings(driver, "before")) as store, in_use(store, locked) as use:
        retiring = await store.replace(locked.settings(driver, "after"), SECONDS)
        assert retiring is not None
        await use.more()
        await retiring
        await until(lambda: not locked.connections_of("before"), "nobody is logged in as the first")
        assert locked.connections_of("after")
        locked.drop("before")
        await use.more()
        assert use.moves == 1


async def test_settings_that_do_not_lead_in_leave_all_as_it_is(locked: Locked, driver: str) -> None:
    wrong = locked.settings(driver, "after", password="hush")
    async with opened(locked.settings(driver, "before")) as store, in_use(store, locked) as use:
        with pytest.raises(StoreError) as caught:
            await store.replace(wrong, SECONDS)
        assert "hush" not in str(caught.value)
        await use.more()
        assert await store.replace(locked.settings(driver, "before"), SECONDS) is None, "nothing differs"
        assert use.moves == 0
        retiring = await store.replace(locked.settings(driver, "after"), SECONDS)
        assert retiring is not None
        await use.more()
        await retiring


async def test_a_link_that_carries_nothing_does_not_keep_it(locked: Locked, driver: str) -> None:
    async with (
        Proxy(locked.server.port) as proxy,
        opened(locked.settings(driver, "before"), seconds=0.5) as store,
    ):
        proxy.stop_forwarding()
        uri = f"mongodb://127.0.0.1:{proxy.listens_on}/?directConnection=true"
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(StoreError):
                await store.replace(locked.settings(driver, "after", uri=uri), 0.5)
        await store.ping(SECONDS)


async def test_what_is_under_way_ends_on_the_old_client(locked: Locked, driver: str) -> None:
    """A find that the server holds back, so that the client that asked is a retired one meanwhile."""
    locked.admin.epr.endpoints.insert_one({"_id": "e", "version": 0})
    async with opened(locked.settings(driver, "before")) as store:
        await store.ping(SECONDS)
        locked.hold_one_find(2.0)
        load = asyncio.create_task(store.load(["e"], SECONDS))
        await until(lambda: locked.is_asking("before"), "the server holds it back")
        retiring = await store.replace(locked.settings(driver, "after"), SECONDS)
        assert retiring is not None
        assert not load.done()
        await retiring
        assert load.done(), "the old client was closed behind it"
        assert await load


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[MongoServer]:
    directory = tmp_path_factory.mktemp("mutual")
    issue(authority, directory / "server.pem", "127.0.0.1")
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    tls = MongoTls(directory / "server.pem", directory / "ca.pem", require_client_cert=True)
    with MongoServer(tmp_path_factory.mktemp("mutual-data"), tls=tls) as made:
        yield made


def issue(authority: trustme.CA, path: Path, name: str) -> None:
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(path))


async def test_certificates_that_changed_on_disk_are_taken_over(
    mutual: MongoServer, authority: trustme.CA, driver: str, tmp_path: Path
) -> None:
    mounted, ca = tmp_path / "client.pem", tmp_path / "ca.pem"
    issue(authority, mounted, "one@example.org")
    authority.cert_pem.write_to_path(str(ca))
    tls = MongoTlsSettings(ca_file=ca, cert_key_file=mounted)
    mongo = MongoSettings.model_validate({"uri": mutual.uri, "driver": driver, "tls": tls})
    async with opened(mongo) as store:
        assert await store.replace(mongo, SECONDS) is None
        issue(authority, mounted, "two@example.org")
        retiring = await store.replace(mongo, SECONDS)
        assert retiring is not None
        await retiring
        await store.ping(SECONDS)
        issue(trustme.CA(), mounted, "three@example.org")
        with pytest.raises(StoreError):
            await store.replace(mongo, SECONDS)
        mounted.unlink()
        with pytest.raises(StoreSettingsRefused, match=r"client\.pem"):
            await store.replace(mongo, SECONDS)
        shutil.copy(ca, mounted)
        with pytest.raises(StoreSettingsRefused):
            await store.replace(mongo, SECONDS)
        await store.ping(SECONDS)
