"""Authentication and TLS, with both drivers."""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from pymongo import MongoClient

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings, MongoTlsSettings
from kaa_epr.embedded import MongoServer, MongoTls
from kaa_epr.mongo import Store, StoreError, open_store
from kaa_epr.mongo.errors import StoreSettingsRefused

pytestmark = pytest.mark.parametrize("driver", ["motor", "pymongo"])
USER, PASSWORD = "us:er", "p@ss/w%rd"


@asynccontextmanager
async def opened(*, seconds: float = 2, **mongo: Any) -> AsyncIterator[Store]:
    store = open_store(MongoSettings(**mongo), StoreSettings(timeout=seconds))
    try:
        yield store
    finally:
        await store.close()


async def refusal(**mongo: Any) -> str:
    """How a ping is refused."""
    async with opened(**mongo) as store:
        with pytest.raises(StoreError) as caught:
            await store.ping(4)
    text = str(caught.value)
    del caught, store
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        # PyMongo leaves the socket of a refused login to the garbage collector.
        gc.collect()
    return text


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with MongoServer(tmp_path_factory.mktemp("locked"), auth=(USER, PASSWORD)) as server:
        yield server


async def test_user_and_password(locked: MongoServer, driver: str) -> None:
    async with opened(uri=locked.uri, driver=driver, username=USER, password=PASSWORD) as store:
        await store.ping(4)
        assert store.identity == f"{locked.address}/epr.endpoints"


async def test_user_and_password_in_the_uri(locked: MongoServer, driver: str) -> None:
    uri = locked.uri.replace("://", "://us%3Aer:p%40ss%2Fw%25rd@")
    async with opened(uri=uri, driver=driver) as store:
        await store.ping(4)
        assert store.identity == f"{locked.address}/epr.endpoints"


@pytest.mark.parametrize(
    "credentials", [{}, {"username": USER, "password": "hush"}, {"username": "hush", "password": PASSWORD}]
)
async def test_wrong_credentials(locked: MongoServer, driver: str, credentials: dict[str, str]) -> None:
    text = await refusal(uri=locked.uri, driver=driver, **credentials)
    assert "AuthenticationFailed" in text or "Unauthorized" in text
    assert "hush" not in text
    assert PASSWORD not in text


async def test_the_wrong_database_for_the_user(locked: MongoServer, driver: str) -> None:
    credentials = {"username": USER, "password": PASSWORD, "auth_source": "elsewhere"}
    assert "AuthenticationFailed" in await refusal(uri=locked.uri, driver=driver, **credentials)


def certificate_of(pem: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.read_bytes())


class Authority:
    """A certificate authority with a server's and a client's certificate, in files."""

    def __init__(self, directory: Path) -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        self.ca_file = directory / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.strangers_ca_file = directory / "stranger.pem"
        stranger.cert_pem.write_to_path(str(self.strangers_ca_file))
        self.server = self._write(authority, directory / "server.pem", "127.0.0.1")
        self.client = self._write(authority, directory / "client.pem", "client@example.org")
        # As MongoDB wants it: the last part first.
        self.client_subject = certificate_of(self.client).subject.rfc4514_string()
        self.strangers = self._write(stranger, directory / "strangers.pem", "client@example.org")

    @staticmethod
    def _write(authority: trustme.CA, path: Path, name: str) -> Path:
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(path))
        return path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[MongoServer]:
    tls = MongoTls(authority.server, authority.ca_file, require_client_cert=True)
    with MongoServer(tmp_path_factory.mktemp("mutual"), tls=tls) as server:
        yield server


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[MongoServer]:
    tls = MongoTls(authority.server, authority.ca_file)
    with MongoServer(tmp_path_factory.mktemp("encrypted"), tls=tls, auth=(USER, PASSWORD)) as server:
        yield server


@pytest.fixture(scope="module")
def known_by_certificate(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[MongoServer]:
    """A server that knows a user by a certificate (X.509)."""
    directory = tmp_path_factory.mktemp("x509")
    tls = MongoTls(authority.server, authority.ca_file, require_client_cert=True)
    with MongoServer(directory, tls=tls, auth=(USER, PASSWORD)) as server:
        with MongoClient[dict[str, Any]](server.uri, **server.client_options) as client:
            roles = [{"role": "readWrite", "db": "epr"}]
            client["$external"].command("createUser", authority.client_subject, roles=roles)
        yield server


async def test_tls_with_a_password(encrypted: MongoServer, authority: Authority, driver: str) -> None:
    tls = MongoTlsSettings(ca_file=authority.ca_file)
    async with opened(uri=encrypted.uri, driver=driver, tls=tls, username=USER, password=PASSWORD) as store:
        await store.ping(4)
        assert store.identity == f"{encrypted.address}/epr.endpoints"


async def test_the_uri_may_ask_for_tls(encrypted: MongoServer, authority: Authority, driver: str) -> None:
    uri = f"{encrypted.uri}&tls=true&tlsCAFile={authority.ca_file}"
    async with opened(uri=uri, driver=driver, username=USER, password=PASSWORD) as store:
        await store.ping(4)
        assert store.identity == f"{encrypted.address}/epr.endpoints"


async def test_a_server_that_strangers_certified(
    encrypted: MongoServer, authority: Authority, driver: str
) -> None:
    tls = MongoTlsSettings(ca_file=authority.strangers_ca_file)
    text = await refusal(uri=encrypted.uri, driver=driver, tls=tls, username=USER, password=PASSWORD)
    assert "certificate verify failed" in text
    assert PASSWORD not in text


async def test_no_tls_where_the_server_asks_for_it(encrypted: MongoServer, driver: str) -> None:
    assert "no primary is reachable" in await refusal(uri=encrypted.uri, driver=driver, seconds=1)


async def test_mutual_tls(mutual: MongoServer, authority: Authority, driver: str) -> None:
    tls = MongoTlsSettings(ca_file=authority.ca_file, cert_key_file=authority.client)
    async with opened(uri=mutual.uri, driver=driver, tls=tls) as store:
        await store.ping(4)
        assert await store.load(["e"], 4) == []


@pytest.mark.parametrize("own", [None, "strangers"])
async def test_mutual_tls_without_a_trusted_certificate(
    mutual: MongoServer, authority: Authority, driver: str, own: str | None
) -> None:
    cert_key_file = authority.strangers if own else None
    tls = MongoTlsSettings(ca_file=authority.ca_file, cert_key_file=cert_key_file)
    assert "no primary is reachable" in await refusal(uri=mutual.uri, driver=driver, tls=tls, seconds=1)


async def test_a_certificate_as_the_user(
    known_by_certificate: MongoServer, authority: Authority, driver: str
) -> None:
    tls = MongoTlsSettings(ca_file=authority.ca_file, cert_key_file=authority.client)
    options: dict[str, Any] = {"uri": known_by_certificate.uri, "driver": driver, "tls": tls}
    async with opened(username=authority.client_subject, **options) as store:
        await store.ping(4)
    assert "AuthenticationFailed" in await refusal(username="CN=somebody else", **options)


async def test_a_missing_certificate_file_is_named(driver: str, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with pytest.raises(StoreSettingsRefused, match=r"No such file or directory .*missing\.pem"):
        open_store(MongoSettings(driver=driver, tls=MongoTlsSettings(ca_file=missing)), StoreSettings())
