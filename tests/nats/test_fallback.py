"""Without the fast path: ordinary callbacks, and everybody is told why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kaa_epr.embedded import NatsServer, start_nats
from kaa_epr.nats import internals
from kaa_epr.nats.services_api import service_name
from kaa_epr.service import Service
from tests.nats.harness import Store, ask, ask_raw, connected, count, serving, settings_of
from tests.property.messages import Get
from tests.property.support import needs_rust


async def told(service: Service, url: str, instance: str, reason: str) -> None:
    """Answers come, and ``reason`` stands in the status, ``/info``, ``$SRV.INFO`` and the metrics."""
    async with connected(url) as peer:
        for _ in range(3):
            assert (await ask(peer, instance))["statusCode"] == 200
        info = json.loads((await peer.request(f"$SRV.INFO.{service_name(instance)}", timeout=10)).data)
    assert count(service, "hits") == 2
    assert reason in info["metadata"]["fast_path"]
    assert reason in service.info()["link"]["fast_path_reason"]
    assert service.info()["link"]["fast_path"] is False
    text = service.metrics.render().decode()
    (line,) = (line for line in text.splitlines() if "fast_path" in line and not line.startswith("#"))
    assert line.endswith(" 0.0")


OFF: dict[str, Any] = {"nats": {"fast_path": "off"}}


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        pytest.param(OFF, "switched off (nats.fast_path)", id="off", marks=needs_rust),
        pytest.param({"engine": "pure"}, "the pure engine has none", id="pure"),
    ],
)
async def test_by_setting(
    groups: dict[str, Any],
    reason: str,
    nats_server: NatsServer,
    store: Store,
    instance_name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = settings_of(nats_server.url, store.uri, store.database, instance_name, **groups)
    async with serving(settings) as service:
        await told(service, nats_server.url, instance_name, reason)
    assert reason in capsys.readouterr().out


@needs_rust
async def test_a_nats_py_that_takes_no_transport(
    nats_server: NatsServer, store: Store, instance_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(internals, "supported", lambda client: False)
    settings = settings_of(nats_server.url, store.uri, store.database, instance_name)
    async with serving(settings) as service:
        await told(service, nats_server.url, instance_name, "this nats-py takes no transport")
        assert not service.link.status().fast_path


@needs_rust
async def test_a_nats_py_that_puts_its_own_transport_in_place(
    nats_server: NatsServer, store: Store, instance_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(internals, "set_transport", lambda client, transport: None)
    settings = settings_of(nats_server.url, store.uri, store.database, instance_name)
    async with serving(settings) as service:
        await told(
            service, nats_server.url, instance_name, "nats-py put its own transport in the place of ours"
        )
        assert not service.link.status().fast_path


@needs_rust
@pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float' is deprecated")
async def test_websocket(tmp_path: Path, store: Store, instance_name: str) -> None:
    server = start_nats(tmp_path, config_lines=['websocket { listen: "127.0.0.1:-1", no_tls: true }'])
    (line,) = (x for x in (tmp_path / "nats-server.log").read_text().splitlines() if "ws://" in x)
    url = "ws://" + line.rpartition("ws://")[2]
    settings = settings_of(server.url, store.uri, store.database, instance_name, nats={"servers": [url]})
    async with serving(settings) as service:
        await told(service, server.url, instance_name, "WebSocket servers")
        async with connected(server.url) as peer:
            store.put("e-2", model="m2")
            assert (await ask(peer, instance_name, "e-2"))["payload"] == b'{"model":"m2"}'
            assert (await ask(peer, instance_name, "none"))["statusCode"] == 404
    server.stop()


async def test_headers_come_back_on_callbacks_too(
    nats_server: NatsServer, store: Store, instance_name: str
) -> None:
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    settings = settings_of(nats_server.url, store.uri, store.database, instance_name, engine="pure")
    async with serving(settings), connected(nats_server.url) as peer:
        for _ in ("a load", "a hit"):
            answer = await ask_raw(peer, instance_name, Get().encode(), headers=trace)
            assert answer.headers == trace
