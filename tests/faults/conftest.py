"""A scene on the session's mongod, for tests that leave MongoDB alone, and a nats-server for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from kaa_epr.embedded import MongoServer, NatsServer, start_nats
from tests.faults.scene import Scene

QUICK_PINGS: Final = ['ping_interval: "500ms"', "ping_max: 2"]
"""The server, too, finds dead connections soon; until then it hands gets to them, which are lost."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    made = start_nats(tmp_path / "nats", config_lines=QUICK_PINGS)
    yield made
    made.stop()


@pytest.fixture
async def scene(
    tmp_path: Path, mongod: MongoServer, mongo_database: str, instance_name: str
) -> AsyncIterator[Scene]:
    made = Scene(tmp_path, mongod.uri, mongo_database, instance_name)
    await made.fill()
    yield made
    await made.close()
