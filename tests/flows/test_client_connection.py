"""The client and its connection: lent or its own, refused, lost, restarted, closed, stuck."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client as NatsClient

from kaa_epr.client import (
    ClientClosed,
    ClientOptions,
    ConnectionFailed,
    EpmmpClient,
    NoResponders,
    RequestTimeout,
)
from kaa_epr.embedded import NatsServer
from tests.flows.client_repository import SECRET, SOON, Repository, answer_one


async def test_nobody_listens(nats_server: NatsServer, nc: NatsClient, instance_name: str) -> None:
    async with EpmmpClient(nc, repository=instance_name, timeout=20, attempts=3, options=SOON) as client:
        started = time.monotonic()
        with pytest.raises(NoResponders, match=f"nobody listens to .*{instance_name}"):
            await client.get("e")
        assert time.monotonic() - started < 10
        assert client.stats.no_responders == client.stats.attempts == 3


async def test_a_repository_that_comes_up_is_found(
    nats_server: NatsServer, nc: NatsClient, instance_name: str
) -> None:
    options = ClientOptions(backoff=0.02, backoff_max=0.02)
    async with EpmmpClient(nc, repository=instance_name, timeout=20, attempts=900, options=options) as client:
        get = asyncio.create_task(client.get("e"))
        while client.stats.no_responders == 0:
            await nc.flush()
        repository = Repository(nc, instance_name)
        await repository.listen()
        await answer_one(repository)
        assert (await get).metadata == {"k": "v"}


async def test_closing_fails_what_is_in_flight(
    nc: NatsClient, repository: Repository, nats_server: NatsServer
) -> None:
    client = EpmmpClient(nc, repository=repository.instance)
    get = asyncio.create_task(client.get("e"))
    asked = await repository.next()
    await client.close()
    with pytest.raises(ClientClosed, match="the client is closed"):
        await get
    with pytest.raises(ClientClosed):
        await client.get("e")
    await client.close()
    assert nc.is_connected
    await repository.answer(asked)  # nobody is subscribed any more, and nothing breaks
    await nc.flush()


async def test_a_closed_or_draining_connection_of_the_callers(
    nats_server: NatsServer, instance_name: str
) -> None:
    lent = await nats.connect(nats_server.url)
    client = EpmmpClient(lent, repository=instance_name, attempts=1, timeout=5)
    with pytest.raises(NoResponders):
        await client.get("e")
    await lent.close()
    with pytest.raises(ClientClosed, match="the NATS connection is closed"):
        await client.get("e")
    await client.close()
    with pytest.raises(ClientClosed):
        await EpmmpClient(NatsClient(), repository=instance_name).get("e")


async def test_a_server_restart_is_survived_within_the_deadline(tmp_path: Path, instance_name: str) -> None:
    with NatsServer(tmp_path) as server:
        nc = await nats.connect(server.url, reconnect_time_wait=0.05, max_reconnect_attempts=-1)
        repository = Repository(nc, instance_name)
        await repository.listen()
        options = ClientOptions(connect={"reconnect_time_wait": 0.05}, backoff=0.05, backoff_max=0.05)
        async with EpmmpClient(
            servers=server.url, repository=instance_name, timeout=60, attempts=900, options=options
        ) as client:
            get = asyncio.create_task(client.get("e"))
            lost = await repository.next()
            await asyncio.to_thread(server.restart)
            again = await repository.next()
            assert again.correlation_id != lost.correlation_id
            await repository.answer(again)
            assert (await get).metadata == {"k": "v"}
            assert client.stats.links_lost >= 1
        await nc.close()


async def test_a_connection_of_our_own_that_closed_for_good_is_made_anew(
    client: EpmmpClient, repository: Repository
) -> None:
    get = asyncio.create_task(client.get("e"))
    await repository.next()
    first = client._connection._nc
    assert first is not None
    await first.close()
    await repository.answer(await repository.next())
    assert (await get).metadata == {"k": "v"}
    assert client._connection._nc is not first


async def test_the_last_attempts_answer_may_come_over_the_next_connection(
    nats_server: NatsServer, repository: Repository
) -> None:
    options = ClientOptions(connect={"reconnect_time_wait": 0.01})
    async with EpmmpClient(
        servers=nats_server.url, repository=repository.instance, timeout=20, attempts=1, options=options
    ) as client:
        get = asyncio.create_task(client.get("e"))
        asked = await repository.next()
        nc = client._connection._nc
        assert nc is not None
        await nc.force_reconnect()
        while client.stats.links_lost == 0:
            await repository.nc.flush()
        await repository.answer(asked)
        assert (await get).metadata == {"k": "v"}
        assert client.stats.attempts == 1


async def test_no_server_is_told(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server:
        url = server.url
    started = time.monotonic()
    with pytest.raises(ConnectionFailed, match=r"no connection to NATS: .*[Cc]onnect"):
        async with EpmmpClient(servers=url, timeout=0.5):
            pass
    assert time.monotonic() - started < 10


async def test_refused_credentials_are_told_and_not_shown(tmp_path: Path) -> None:
    config = [f'authorization {{ user: "u", password: "{SECRET}" }}']
    with NatsServer(tmp_path, config_lines=config) as server:
        client = EpmmpClient(
            servers=server.url,
            timeout=1,
            options=ClientOptions(connect={"user": "u", "password": SECRET + "x"}),
        )
        assert SECRET not in repr(client._options)
        with pytest.raises(ConnectionFailed, match=r"(?i)authorization") as caught:
            await client.get("e")
        assert SECRET not in str(caught.value)
        await client.close()
        right = ClientOptions(connect={"user": "u", "password": SECRET})
        async with EpmmpClient(servers=server.url, options=right, attempts=1) as admitted:
            with pytest.raises(NoResponders):
                await admitted.get("e")


async def test_a_refused_subscription_is_hinted_at(tmp_path: Path, instance_name: str) -> None:
    config = [
        "authorization { users: [",
        '  { user: "all", password: "p" }',
        '  { user: "deaf", password: "p", permissions: { subscribe: { deny: "kaa.v1.replica.>" } } }',
        "] }",
    ]
    with NatsServer(tmp_path, config_lines=config) as server:
        nc = await nats.connect(server.url, user="all", password="p")
        await Repository(nc, instance_name).listen()
        async with EpmmpClient(
            servers=server.url,
            repository=instance_name,
            timeout=0.5,
            options=ClientOptions(connect={"user": "deaf", "password": "p"}),
        ) as client:
            with pytest.raises(RequestTimeout, match=r"NATS said .*[Pp]ermissions [Vv]iolation"):
                await client.get("e")
        await nc.close()


async def test_cancelling_works_while_the_server_takes_nothing(tmp_path: Path, instance_name: str) -> None:
    """nats-py waits for its write buffer then, and would swallow the cancellation."""
    with NatsServer(tmp_path) as server:
        options = ClientOptions(connect={"pending_size": 1024, "ping_interval": 3600})
        async with EpmmpClient(
            servers=server.url, repository=instance_name, timeout=60, attempts=1, options=options
        ) as client:
            nc = client._connection._nc
            assert nc is not None
            server.process.signal(signal.SIGSTOP)
            try:
                gets = [asyncio.create_task(client.get("e", ["x" * 900_000])) for _ in range(20)]
                await asyncio.wait(gets, timeout=0.5)
                writer = nc._transport._io_writer.transport  # type: ignore[union-attr]
                assert writer.get_write_buffer_size() > 0, "the server takes nothing, nats-py waits"
                for get in gets:
                    get.cancel()
                _, waiting = await asyncio.wait(gets, timeout=5)
                assert not waiting
                assert all(get.cancelled() for get in gets)
                assert client.in_flight == 0
            finally:
                server.process.signal(signal.SIGCONT)
