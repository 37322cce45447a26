"""What the tests of the wire share: uvloop, as in service, and a store of a test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import uvloop

from kaa_epr.embedded import MongoServer
from tests.nats.harness import Store


@pytest.fixture
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """The loop that serves."""
    return uvloop.EventLoopPolicy()


@pytest.fixture
def store(mongod: MongoServer, mongo_database: str) -> Iterator[Store]:
    """An empty collection, with e-1 in it."""
    made = Store(mongod.uri, mongo_database)
    made.put("e-1", model="m1", n=1)
    yield made
    made.close()
