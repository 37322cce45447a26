"""What the soak runs on: three nats-servers, three mongods, three replicas of kaa-epr, one behind a proxy."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

from kaa_epr.embedded.process import ServerProcess
from tests.support.command import Served
from tests.support.nats_cluster import NatsCluster
from tests.support.proxy import Proxy
from tests.support.replica_set import ReplicaSet
from tests.support.waiting import kept, until

INSTANCE: Final = "soak"
DATABASE: Final = "soak"
READY_SECONDS: Final = 60.0
FORGET_SECONDS: Final = 10.0
"""``coherence.forget``: with the default of 60 s a replica killed with its register would keep the others
from their caches for a minute, five times, and the soak would measure MongoDB."""
MAX_PENDING: Final = 2 * 1024 * 1024
"""Bytes that a nats-server keeps for a client that reads too slowly, before it cuts it off."""
SLOW_CONSUMER: Final = re.compile("Slow Consumer Detected")
VERSION: Final = re.compile(r"v(\d+\.\d+\.\d+)")
RSS: Final = re.compile(r"^VmRSS:\s*(\d+) kB$", re.MULTILINE)


class Replica:
    """One ``kaa-epr serve``, started again and again on the same configuration."""

    def __init__(self, name: str, directory: Path, settings: Mapping[str, Any]) -> None:
        self.name = name
        self._config = directory / f"{name}.yaml"
        self._ready = directory / f"{name}.json"
        self._config.write_text(json.dumps(settings, indent=1))  # JSON is YAML
        self._served: Served | None = None

    @property
    def process(self) -> ServerProcess:
        """While it runs."""
        assert self._served is not None
        return self._served.process

    async def start(self) -> None:
        """Returns when it answers."""
        self._ready.unlink(missing_ok=True)
        self._served = await kept(Served, ["--config", str(self._config)], self._ready)
        await kept(self._served.wait_ready)

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self._served is not None
        return await kept(self._served.end)

    async def kill(self) -> None:
        """SIGKILL."""
        await kept(self.process.kill)


class Fleet:
    """An async context manager: inside, all runs."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.nats = NatsCluster(directory, "soak")
        for member in self.nats.members:
            member.config_lines = (f"max_pending: {MAX_PENDING}",)
        self.mongo = ReplicaSet(directory)
        self.proxies: list[Proxy] = []
        self.replicas: list[Replica] = []
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as running:
            await running.enter_async_context(self.nats)
            await kept(self.mongo.__enter__)
            running.push_async_callback(kept, self.mongo.__exit__, None, None, None)
            for member in self.nats.members[1:]:
                proxy = await running.enter_async_context(Proxy(member.port))
                self.proxies.append(proxy)
            self._running = running.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        for replica in self.replicas:
            await replica.kill()
        await self._running.aclose()

    async def start_replicas(self) -> None:
        """The last one has no register and reaches NATS through the proxies only."""
        direct = self.nats.urls
        for number in range(2):
            servers = direct[number:] + direct[:number]
            self.replicas.append(self._replica(f"replica-{number}", servers, register=True))
        self.replicas.append(self._replica("replica-2", [one.url for one in self.proxies], register=False))
        for replica in self.replicas:
            await replica.start()

    def _replica(self, name: str, servers: list[str], *, register: bool) -> Replica:
        settings = {
            "service": {"instance_name": INSTANCE},
            "nats": {"servers": servers},
            "mongo": {"uri": self.mongo.uri, "database": DATABASE, "driver": "pymongo"},
            "coherence": {"forget": FORGET_SECONDS},
            "management": {"port": 0},
            "register": {"enabled": register, "security": {"enabled": False}, "rest": {"port": 0}},
        }
        return Replica(name, self.directory, settings)

    async def revive(self) -> None:
        """Starts what a fault that failed has left dead."""
        for number, nats_server in enumerate(self.nats.members):
            if not nats_server.process.running:
                await self.nats.start(number)
        for mongod in self.mongo.members:
            if not mongod.process.running:
                await kept(self.mongo.restart, mongod)
        for replica in self.replicas:
            if not replica.process.running:
                await replica.start()

    async def settled(self) -> None:
        """Until the cluster of nats-servers is whole and the replica set has three living members."""
        await self.nats.wait_formed()

        def whole() -> bool:
            return len(self.mongo.secondaries()) == len(self.mongo.members) - 1

        await until(lambda: kept(whole), "a whole replica set", READY_SECONDS)

    def slow_consumers(self) -> int:
        """Times that the nats-servers' last lines tell of one."""
        lines = [line for member in self.nats.members for line in member.process.lines()]
        return sum(SLOW_CONSUMER.search(line) is not None for line in lines)

    def versions(self) -> dict[str, str]:
        """Of the servers."""
        programs = {"nats-server": self.nats.members[0].process, "mongod": self.mongo.members[0].process}
        said = {
            name: subprocess.run(
                [process.argv[0], "--version"], stdout=subprocess.PIPE, text=True, check=True
            ).stdout
            for name, process in programs.items()
        }
        return {name: VERSION.findall(text)[0] for name, text in said.items()}

    def processes(self) -> dict[str, int]:
        """Process IDs by name, of those that run."""
        named = {f"nats-{number}": one.process for number, one in enumerate(self.nats.members)}
        named |= {f"mongod-{number}": one.process for number, one in enumerate(self.mongo.members)}
        named |= {one.name: one.process for one in self.replicas}
        return {name: process.pid for name, process in named.items() if process.running}


def resident_bytes(pid: int) -> int:
    """Memory of a process; 0 if it is gone."""
    try:
        found = RSS.search(Path(f"/proc/{pid}/status").read_text())
    except FileNotFoundError:
        return 0
    return int(found[1]) * 1024 if found else 0
