"""What tests of flows share: connections to the session's servers, and stores on a test's own database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, get_args

import httpx
import pytest
from nats.aio.client import Client as NatsClient
from pymongo import MongoClient

from kaa_epr.client import EpmmpClient
from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings
from kaa_epr.config.settings import Settings
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.mongo import open_store
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.service import Service
from tests.flows.client_repository import SOON, Repository
from tests.flows.register_support import (
    EpmmpCaller,
    Listener,
    connected,
    register_settings,
    rest_client,
)


# --- MongoDB
@pytest.fixture
def collection(mongod: MongoServer, mongo_database: str) -> Iterator[Any]:
    """Empty, and seen past the store."""
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        yield client[mongo_database]["endpoints"]


@pytest.fixture(params=get_args(MongoSettings.model_fields["driver"].annotation))
def driver(request: pytest.FixtureRequest) -> Any:
    """The name of each."""
    return request.param


@pytest.fixture
def mongo(driver: Any, mongod: MongoServer, mongo_database: str) -> MongoSettings:
    """Where ``collection`` is, by each driver."""
    return MongoSettings(uri=mongod.uri, database=mongo_database, driver=driver)


@pytest.fixture
async def store(mongo: MongoSettings) -> AsyncIterator[RegisterStore]:
    """Of ``mongo``, with limits as they are by default."""
    opened = open_store(mongo, StoreSettings())
    yield opened
    await opened.close()


# --- NATS
@pytest.fixture
async def nc(nats_server: NatsServer) -> AsyncIterator[NatsClient]:
    """A connection of the test's own."""
    async with connected(nats_server.url) as client:
        yield client


@pytest.fixture
async def listener(nc: NatsClient, instance_name: str) -> Listener:
    """Hears the events of ``instance_name``."""
    made = Listener(nc)
    await made.listen(instance_name)
    return made


@pytest.fixture
def caller(nc: NatsClient, instance_name: str) -> EpmmpCaller:
    """Asks ``instance_name``."""
    return EpmmpCaller(nc, instance_name)


@pytest.fixture
async def repository(nc: NatsClient, instance_name: str) -> Repository:
    """Answers what ``client`` asks as a test tells it to."""
    made = Repository(nc, instance_name)
    await made.listen()
    return made


@pytest.fixture
async def client(nats_server: NatsServer, instance_name: str) -> AsyncIterator[EpmmpClient]:
    """With a connection of its own."""
    async with EpmmpClient(
        servers=nats_server.url, repository=instance_name, timeout=20, attempts=3, options=SOON
    ) as made:
        yield made


# --- a service with the register on
@pytest.fixture
def settings_here(
    nats_server: NatsServer, mongod: MongoServer, instance_name: str, mongo_database: str
) -> Callable[..., Settings]:
    """``register_settings`` with the session's servers and the test's own names."""
    return partial(register_settings, nats_server.url, mongod.uri, instance_name, mongo_database)


@pytest.fixture(params=[pytest.param("pure", id="pure"), pytest.param("rust", id="rust")])
def engine(request: pytest.FixtureRequest) -> Any:
    """The name of each."""
    return request.param


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """The REST interface of the ``service`` that a file of tests has."""
    async with rest_client(service) as client:
        yield client
