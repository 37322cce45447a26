"""``kaa-epr serve`` as processes: started, killed, paused, stopped in order, asked for their metrics."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import yaml
from prometheus_client.parser import text_string_to_metric_families

from kaa_epr.embedded.process import ServerProcess
from tests.support.command import PROGRAM, environment
from tests.support.waiting import kept, until

HOST: Final = "127.0.0.1"
START_TIMEOUT: Final = 60.0
SERVING: Final = re.compile(r'"event": "serving"')
LOOK: Final = 0.02
"""Seconds between two looks at the metrics, which cost the replica some milliseconds each."""

ENGINES: Final[dict[str, dict[str, Any]]] = {
    "fast": {"engine": "rust"},
    "callbacks": {"engine": "rust", "nats": {"fast_path": "off"}},
    "pure": {"engine": "pure"},
}
"""Settings of each way in which gets can be answered."""

NO_RETRY: Final[dict[str, Any]] = {"nats": {"reconnect_wait": 0.05, "reconnect_wait_max": 0.5}}
"""Quick reconnects, so that tests need not wait for the usual back-off."""


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Settings laid over each other, group by group."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            known = result.get(key)
            both = isinstance(known, dict) and isinstance(value, Mapping)
            result[key] = merged(known, value) if both else value  # type: ignore[arg-type]
    return result


class Replica:
    """One process. ``settings`` are those of its configuration file."""

    def __init__(self, directory: Path, name: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        self.port = free_port()
        """Of the management server, which answers before gets are, and on the same port after a restart."""
        self.settings = merged(settings, {"management": {"port": self.port}})
        self.config_file = directory / f"{name}.yaml"
        self.ready_file = directory / f"{name}.ready"
        arguments: list[str | Path] = ["serve", "--config", self.config_file, "--ready-file", self.ready_file]
        self.prefix: list[str] = []
        """A command that the program is run by, as ``nsenter``."""
        self.env: dict[str, str] = {}
        self._arguments: list[str | Path] = [PROGRAM, *arguments]
        self.process = ServerProcess(name, [], directory / f"{name}.log")

    async def start(self, *, ready: bool = True) -> None:
        """Starts it; with ``ready`` returns once it answers gets."""
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(yaml.safe_dump(self.settings))
        argv = [*self.prefix, *self._arguments]
        self.process = ServerProcess(self.name, argv, self.process.log_file, environment(self.env))
        await kept(self.process.start)
        if ready:
            await self.wait_ready()

    async def wait_ready(self) -> None:
        """Until it says that it answers gets. Raises ServerFailed if it ends before."""
        await asyncio.to_thread(self.process.wait_for, SERVING, START_TIMEOUT)

    async def kill(self) -> None:
        """SIGKILL."""
        await kept(self.process.kill)

    async def stop(self) -> int:
        """SIGTERM; the exit status, after the drain."""
        self.process.signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait)

    async def restart(self) -> None:
        """Stops it in order if it runs, and starts it anew."""
        if self.process.running:
            await self.stop()
        await self.start()

    def pause(self) -> None:
        """SIGSTOP: for the process, time stands still and then jumps."""
        self.process.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self.process.signal(signal.SIGCONT)

    async def metrics(self) -> dict[str, float]:
        """What ``/metrics`` says: samples by name, with the values of labels (but the worker) behind it."""
        return _samples(await _http_get(self.port, "/metrics"))

    async def metric(self, name: str) -> float:
        """One sample; ``kaa_epr_`` may be left out."""
        family = name.partition(":")[0]
        lines = (await _http_get(self.port, "/metrics")).splitlines(keepends=True)
        # To parse all of them takes 14 ms of the loop that the load runs on.
        samples = _samples("".join(line for line in lines if line.startswith((family, f"kaa_epr_{family}"))))
        return samples[name if name in samples else f"kaa_epr_{name}"]

    async def until_metric(self, name: str, least: float, seconds: float = START_TIMEOUT) -> None:
        """Until a sample has grown to ``least``."""

        async def grown() -> bool:
            try:
                return await self.metric(name) >= least
            except OSError:  # it has only just been started
                return False

        await until(grown, f"{self.name}: {name} >= {least}", seconds, every=LOOK)

    async def until_coherent(self, seconds: float = START_TIMEOUT) -> None:
        """Until it answers from its cache, and its store answers."""
        await self.until_metric("store_up", 1, seconds)
        await self.until_metric("coherent", 1, seconds)

    def logged(self, text: str) -> int:
        """How many of its last lines contain ``text``."""
        return sum(text in line for line in self.process.lines())


def _samples(text: str) -> dict[str, float]:
    return {
        ":".join([sample.name, *(v for k, v in sorted(sample.labels.items()) if k != "worker")]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Fleet:
    """Replicas of one instance; an async context manager, inside which all answer gets."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.replicas = list(replicas)

    async def __aenter__(self) -> Self:
        try:
            for replica in self.replicas:
                await replica.start(ready=False)
            for replica in self.replicas:
                await replica.wait_ready()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for replica in self.replicas:
            await replica.kill()

    def __getitem__(self, number: int) -> Replica:
        return self.replicas[number]


def replica_settings(
    nats_url: str, mongo_uri: str, database: str, instance: str, *layers: Mapping[str, Any]
) -> dict[str, Any]:
    """A configuration file for one replica on loopback; ``layers`` go over it."""
    base = {
        "service": {"instance_name": instance, "drain_timeout": 10.0},
        "nats": {"servers": [nats_url]},
        "mongo": {"uri": mongo_uri, "database": database},
    }
    return merged(base, NO_RETRY, *layers)


REGISTER: Final[dict[str, Any]] = {
    "register": {"enabled": True, "security": {"enabled": False}, "rest": {"port": 0}}
}
"""A layer that makes a replica take writes."""


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


async def _http_get(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    assert b" 200 " in head.splitlines()[0], head.decode()
    if b"chunked" in head.lower():
        raise AssertionError("a chunked answer is not understood here")
    return body.decode()
