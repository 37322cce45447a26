"""Real servers, once per session, and what keeps tests from meeting each other on them."""

from __future__ import annotations

import gc
import os
import random
import secrets
from collections.abc import Iterator

import pytest
from pymongo import MongoClient

from kaa_epr.embedded import MongoServer, NatsServer, start_mongod, start_nats
from tests.support.command import Served, serve_embedded

SEED = int(os.environ.get("KAA_EPR_TEST_SEED", str(secrets.randbits(32))))


def pytest_report_header() -> str:
    """Shown at the top of every run, so that a failing one can be repeated."""
    return f"seed: KAA_EPR_TEST_SEED={SEED}"


def pytest_collection_finish() -> None:
    """What is there by now stays; garbage is collected after many tests, and need not be sought in it."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Randomness of this test's own, the same again for the same seed, whatever other tests ran."""
    return random.Random(f"{SEED}:{request.node.nodeid}")


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A plain nats-server. Tests that stop, reload or stress one start their own with ``start_nats``."""
    with_files = tmp_path_factory.mktemp("nats")
    server = start_nats(with_files)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A replica set of one. Tests that stop it or need options start their own with ``start_mongod``.

    To drop a database waits for the journal, every 100 ms by default, at the end of most tests.
    """
    server = start_mongod(tmp_path_factory.mktemp("mongo"), options=("--journalCommitInterval", "10"))
    yield server
    server.stop()


@pytest.fixture
def mongo_database(mongod: MongoServer) -> Iterator[str]:
    """The name of a database that no other test knows; dropped afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    yield name
    with MongoClient[dict[str, object]](mongod.uri) as client:
        client.drop_database(name)


@pytest.fixture
def instance_name() -> str:
    """A service instance name that no other test uses, so that tests can share a nats-server."""
    return f"epr{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def embedded_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """``kaa-epr serve --embedded`` with the sample endpoints, as ``make run`` starts it."""
    service = serve_embedded(tmp_path_factory.mktemp("embedded"))
    yield service
    assert service.end() == 0
