"""The management server over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from kaa_epr.http.server import AddressError
from kaa_epr.management.app import create_app
from kaa_epr.management.health import Health, Phase
from kaa_epr.management.server import (
    MAX_CONNECTIONS,
    MAX_HEAD_BYTES,
    REQUEST_SECONDS,
    ManagementServer,
)
from kaa_epr.metrics import CONTENT_TYPE
from tests.support.http_client import plain_client


class _Service:
    """What the server asks; tests change it."""

    def __init__(self) -> None:
        self.flushes = 0
        self.store: str | None = None
        self.link: str | None = None
        self.health = Health()
        self.health.phase = Phase.SERVING
        self.health.add("link", lambda: self.link, required=True)
        self.health.add("store", lambda: self.store, required=False)

    def metrics(self) -> bytes:
        return b"kaa_epr_requests_total 5\n"

    def flush(self) -> None:
        self.flushes += 1

    def info(self) -> Mapping[str, Any]:
        return {"version": "1.2.3", "engine": "rust", "fastPath": {"inUse": False, "reason": "WebSocket"}}


@pytest.fixture
def service() -> _Service:
    return _Service()


@pytest.fixture
def request_seconds() -> float:
    """Tests that parametrize it have slow clients cut off sooner."""
    return REQUEST_SECONDS


@pytest.fixture
async def management(service: _Service, request_seconds: float) -> AsyncIterator[ManagementServer]:
    app = create_app(service.health, service.metrics, service.info, service.flush)
    server = ManagementServer(app, host="127.0.0.1", port=0, request_seconds=request_seconds)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(management: ManagementServer) -> AsyncIterator[httpx.AsyncClient]:
    async with plain_client(management.url) as client:
        yield client


async def _connect(management: ManagementServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(management.url)
    return await asyncio.open_connection(parts.hostname, parts.port)


# --- routes -------------------------------------------------------------------------------------------------
async def test_live(client: httpx.AsyncClient, service: _Service) -> None:
    service.link = "reconnecting"
    response = await client.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "UP"})


async def test_an_operator_flushes_and_a_web_page_does_not(
    client: httpx.AsyncClient, service: _Service
) -> None:
    assert (await client.get("/flush")).status_code == 405
    refused = await client.post("/flush", headers={"Origin": "https://example.org"})
    assert (refused.status_code, refused.json()) == (403, {"message": "not for web pages"})
    assert service.flushes == 0
    response = await client.post("/flush")
    assert (response.status_code, response.json()) == (200, {"status": "flushed"})
    assert service.flushes == 1


@pytest.mark.parametrize("path", ["/health/ready", "/health"])
async def test_ready_says_why_not(client: httpx.AsyncClient, service: _Service, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 200
    assert response.json()["status"] == "UP"
    service.store = "no answer since 3 s"
    response = await client.get(path)
    assert response.status_code == 200
    assert response.json()["status"] == "DEGRADED"
    service.link = "reconnecting"
    response = await client.get(path)
    assert response.status_code == 503
    assert response.json() == {
        "status": "DOWN",
        "phase": "serving",
        "components": {
            "link": {"status": "DOWN", "reason": "reconnecting"},
            "store": {"status": "DOWN", "reason": "no answer since 3 s"},
        },
    }


async def test_metrics(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == CONTENT_TYPE
    assert response.text == "kaa_epr_requests_total 5\n"


async def test_info(client: httpx.AsyncClient) -> None:
    response = await client.get("/info")
    assert response.json() == {
        "version": "1.2.3",
        "engine": "rust",
        "fastPath": {"inUse": False, "reason": "WebSocket"},
    }


async def test_headers_of_every_answer(client: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/health", "/metrics", "/info", "/nothing"):
        response = await client.get(path)
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "server" not in response.headers


async def test_head_has_no_body(client: httpx.AsyncClient) -> None:
    response = await client.head("/metrics")
    assert (response.status_code, response.content) == (200, b"")


async def test_unknown_paths_and_methods(client: httpx.AsyncClient) -> None:
    response = await client.get("/nothing")
    assert (response.status_code, response.json()) == (404, {"message": "Not Found"})
    response = await client.post("/metrics")
    assert (response.status_code, response.json()) == (405, {"message": "Method Not Allowed"})
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_a_bug_tells_the_caller_nothing(client: httpx.AsyncClient, service: _Service) -> None:
    def broken() -> str | None:
        raise RuntimeError("hunter2")

    service.health.add("broken", broken, required=True)
    response = await client.get("/health")
    assert (response.status_code, response.json()) == (500, {"message": "Internal Server Error"})


# --- the socket ---------------------------------------------------------------------------------------------
async def test_an_address_in_use_is_reported(management: ManagementServer, service: _Service) -> None:
    port = urlsplit(management.url).port
    assert port is not None
    app = create_app(service.health, service.metrics, service.info, service.flush)
    with pytest.raises(AddressError) as caught:
        await ManagementServer(app, host="127.0.0.1", port=port).start()
    assert str(caught.value) == (
        f"The management server cannot listen on 127.0.0.1, port {port}: Address already in use. "
        "Set management.host and management.port (0: any free port)."
    )


async def test_an_address_of_another_machine_is_reported(service: _Service) -> None:
    app = create_app(service.health, service.metrics, service.info, service.flush)
    with pytest.raises(AddressError, match="Cannot assign requested address"):
        await ManagementServer(app, host="192.0.2.1", port=0).start()


async def test_what_is_no_host_name_is_reported(service: _Service) -> None:
    app = create_app(service.health, service.metrics, service.info, service.flush)
    with pytest.raises(AddressError, match=r"cannot listen on a\.\.b, port 0: not a host name"):
        await ManagementServer(app, host="a..b", port=0).start()


async def test_any_address_is_shown_as_one_that_can_be_reached(service: _Service) -> None:
    app = create_app(service.health, service.metrics, service.info, service.flush)
    server = ManagementServer(app, host="0.0.0.0", port=0)
    await server.start()
    try:
        assert server.url.startswith("http://127.0.0.1:")
    finally:
        await server.stop()


async def test_ipv6(service: _Service) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
    app = create_app(service.health, service.metrics, service.info, service.flush)
    server = ManagementServer(app, host="::1", port=0)
    await server.start()
    try:
        async with plain_client(server.url) as client:
            assert (await client.get("/health/live")).status_code == 200
    finally:
        await server.stop()


async def test_after_stop_nobody_listens_and_idle_connections_are_closed(service: _Service) -> None:
    app = create_app(service.health, service.metrics, service.info, service.flush)
    server = ManagementServer(app, host="127.0.0.1", port=0)
    await server.start()
    reader, writer = await _connect(server)
    unfinished_reader, unfinished_writer = await _connect(server)
    unfinished_writer.write(b"GET /health HTTP/1.1\r\n")
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    await server.stop()
    assert await reader.read() != b""
    assert await unfinished_reader.read() == b""
    writer.close()
    unfinished_writer.close()
    with pytest.raises(ConnectionRefusedError):
        await _connect(server)


async def test_a_stop_without_a_start_does_nothing(service: _Service) -> None:
    server = ManagementServer(
        create_app(service.health, service.metrics, service.info, service.flush), host="x", port=0
    )
    await server.stop()
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = server.url


# --- limits -------------------------------------------------------------------------------------------------
async def test_connections_are_bounded(management: ManagementServer) -> None:
    held = [await _connect(management) for _ in range(MAX_CONNECTIONS)]
    reader, writer = await _connect(management)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    # One leaves; once its end is read the server has let it go, and there is room for another.
    reader, writer = held[0]
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    async with plain_client(management.url) as client:
        assert (await client.get("/health/live")).status_code == 200
    for _, writer in held:
        writer.close()


async def test_long_heads_are_refused(management: ManagementServer) -> None:
    reader, writer = await _connect(management)
    writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * (MAX_HEAD_BYTES + 1))
    await writer.drain()
    assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
    writer.close()


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(b"", id="silent"),
        pytest.param(b"GET /health/live HTTP/1.1\r\nHost: x\r\n", id="unfinished head"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx", id="unfinished body, answered"
        ),
        pytest.param(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nG", id="answered, then a byte"),
    ],
)
@pytest.mark.parametrize("request_seconds", [0.1])
async def test_slow_clients_are_cut_off(management: ManagementServer, begin: bytes) -> None:
    reader, writer = await _connect(management)
    writer.write(begin)
    # Well before the 5 s after which uvicorn ends an idle connection by itself.
    async with asyncio.timeout(3):
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    assert reader.at_eof() or reader.exception() is not None
    writer.close()


@pytest.mark.parametrize("request_seconds", [0.2])
async def test_keep_alive_connections_serve_many_requests(management: ManagementServer) -> None:
    reader, writer = await _connect(management)
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.5
    while loop.time() < until:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(len(b'{"status":"UP"}')) == b'{"status":"UP"}'
    writer.close()
