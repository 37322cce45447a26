"""What the connection remembers of its errors, and how often it tells."""

from __future__ import annotations

import logging

import nats.errors
import pytest

from kaa_epr.client.connection import Connection, Handlers


@pytest.fixture
def connection() -> Connection:
    async def ignore(_: object) -> None:
        raise AssertionError("no message comes without a server")

    return Connection(["nats://127.0.0.1:9"], "s", Handlers(ignore, lambda: None), connect={}, pending=1)


async def test_what_a_server_says_outlives_that_it_hung_up(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    said = nats.errors.Error("nats: 'Authorization Violation'")
    for error in (
        OSError("refused"),
        said,
        ConnectionResetError("reset"),
        said,
        ConnectionResetError("reset"),
    ):
        await connection._on_error(error)
    assert connection._last_error is said
    assert len(caplog.records) == 2


async def test_the_same_error_again_and_again_is_logged_once(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(100):
        await connection._on_error(OSError("refused"))
    assert len(caplog.records) == 1
