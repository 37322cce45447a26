"""What is measured of writes, as data, and how each figure is taken."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from bson import Int64
from pymongo import MongoClient

from bench import beside
from bench.batches import key_batches, registrations
from bench.generator import Generator
from bench.registers import BEFORE, OBVIOUS, OURS, OURS_PYMONGO, Register
from bench.scenarios import Dataset
from bench.servers import DATABASE, Servers
from bench.write_load import EndpointGets, KeyPuts, KeyUpdates, Loop, RestClient

REGISTER: Final = "bench-register"
RESPONDER: Final = "bench-responder"
COLLECTION: Final = "writes"
IMPORTED: Final = "imported"
READ: Final = Dataset()
WRITTEN: Final = Dataset(seed=2)
SHARES: Final = (0.05, 0.15)
"""Writes beside gets: of the rate at which the register takes them when it is asked for nothing else."""
SLOTS: Final = 256
"""Writes under way at most, beside gets and where that rate is measured."""
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes of a run."""

    seconds: float
    warmup: float
    endpoints: int
    batch: int
    phases: int
    """With writes, of half as many seconds, beside a run of gets."""


@dataclass(slots=True)
class Bench:
    """What scenarios work with: the servers, the generator of gets, and the processes measured."""

    servers: Servers
    generator: Generator
    options: Options
    work: Path
    watched: dict[str, int] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    """IDs of the endpoints that are written."""
    register: Register = field(default_factory=lambda: Register(OURS, "ours"))
    """The one that is measured now."""

    def load(self) -> None:
        """Puts the endpoints into the store, those that are read and those that are written."""
        with MongoClient[dict[str, Any]](self.servers.mongo.uri) as client:
            collection = client[DATABASE][COLLECTION]
            collection.drop()
            for dataset in (READ, WRITTEN):
                sized = replace(dataset, endpoints=self.options.endpoints)
                documents = list(self.generator.documents(sized))
                for document in documents:
                    document["version"] = Int64(document["version"])
                collection.insert_many(documents, ordered=False)
                self.written = [document["_id"] for document in documents]

    @contextmanager
    def service(self, name: str, *, register: bool) -> Iterator[dict[str, Any]]:
        """A process; what it told when it was ready."""
        settings = self.settings(name, register=register)
        with self.register.running(name, settings, self.servers, self.work) as (pid, told):
            self.watched[name] = pid
            try:
                yield told
            finally:
                del self.watched[name]

    def settings(self, name: str, *, register: bool) -> dict[str, Any]:
        return {
            "service": {"instance_name": name},
            "nats": {"servers": [self.servers.nats.url]},
            "mongo": {
                "uri": self.servers.mongo.uri,
                "database": DATABASE,
                "collection": COLLECTION,
            },
            "management": {"port": 0},
            "log": {"level": "warning"},
            "register": {"enabled": register, "security": {"enabled": False}, "rest": {"port": 0}},
        }

    @contextmanager
    def usage(self) -> Iterator[Callable[[int], dict[str, float]]]:
        """CPU microseconds of every process for each of so many writes, from here to the call."""
        before = self.cpu()

        def told(writes: int) -> dict[str, float]:
            return {name: (cpu - before[name]) * 1e6 / max(1, writes) for name, cpu in self.cpu().items()}

        yield told

    def cpu(self) -> dict[str, float]:
        """Seconds of user and system time so far (proc(5)) by process, children that still run left out."""
        pids = {**self.watched, **self.servers.pids, "load": os.getpid()}
        return {name: _cpu(pid) for name, pid in pids.items()}


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """In microseconds."""
    ordered = sorted(seconds)
    named = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    return {name: ordered[int(len(ordered) * share)] * 1e6 for name, share in named.items()}


# --- scenarios ----------------------------------------------------------------------------------------------
async def closed_loop(
    bench: Bench, *, slots: int, endpoints: int, rest: type[RestClient] | None = None
) -> dict[str, Any]:
    """As many requests as ``slots`` clients get answered one after the other; over NATS without ``rest``."""
    with bench.service(REGISTER, register=True) as told:
        loop = Loop(bench.written[:endpoints], slots)
        if rest is None:
            loop.writer = await KeyUpdates(REGISTER, loop.answered).open(bench.servers.nats.url)
        else:
            loop.writer = await rest(loop.answered).open(told["rest"], slots)
        await loop.closed(bench.options.warmup)
        loop.latencies.clear()
        with bench.usage() as usage:
            seconds = await loop.closed(bench.options.seconds)
            cpu = usage(len(loop.latencies))
        loop.writer.close()
    return {
        "writes_per_second": len(loop.latencies) / seconds,
        "latency_us": _percentiles(loop.latencies),
        "refused": loop.refused,
        "cpu_us_per_write": cpu,
    }


async def key_batch_updates(bench: Bench) -> dict[str, Any]:
    """Key batch updates, one at a time."""
    endpoints = bench.written[: bench.options.batch]
    nats = bench.servers.nats.url
    with bench.service(REGISTER, register=True):
        await key_batches(nats, REGISTER, endpoints, 1)
        rounds = max(1, int(bench.options.seconds))
        with bench.usage() as usage:
            took = await key_batches(nats, REGISTER, endpoints, rounds)
            cpu = usage(rounds * len(endpoints))
    return {
        "writes_per_second": rounds * len(endpoints) / sum(took),
        "latency_us": _percentiles(took),
        "refused": 0,
        "cpu_us_per_write": cpu,
    }


async def batch_registrations(bench: Bench) -> dict[str, Any]:
    """REST batch registrations, one at a time; latency is to the last event."""
    count = bench.options.batch
    nats = bench.servers.nats.url
    with bench.service(REGISTER, register=True) as told:
        await registrations(nats, REGISTER, told["rest"], count, 1)
        rounds = max(1, int(bench.options.seconds))
        with bench.usage() as usage:
            accepted, done = await registrations(nats, REGISTER, told["rest"], count, rounds)
            cpu = usage(rounds * count)
    return {
        "writes_per_second": rounds * count / sum(done),
        "latency_us": _percentiles(done),
        "accepted_us": _percentiles(accepted),
        "refused": 0,
        "cpu_us_per_write": cpu,
    }


async def gets_beside(bench: Bench, *, share: float, split: bool, same: bool) -> dict[str, Any]:
    """Gets as fast as they are answered, and in every other phase key updates at a fixed rate."""
    sizes = bench.options
    phase = sizes.seconds / 2
    with ExitStack() as running:
        running.enter_context(bench.service(REGISTER, register=True))
        if split:
            running.enter_context(bench.service(RESPONDER, register=False))
        dataset = replace(WRITTEN if same else READ, endpoints=sizes.endpoints)
        options = [
            f"--nats={bench.servers.nats.url}",
            f"--instance={RESPONDER if split else REGISTER}",
            "--prefill",
            f"--duration={(2 * sizes.phases + 2.5) * phase}",
            f"--warmup={sizes.warmup}",
            f"--series-ms={beside.INTERVAL_MS}",
            *dataset.options(),
            *(["--include=3"] if same else []),
        ]
        loop = Loop(bench.written, SLOTS)
        loop.writer = await KeyUpdates(REGISTER, loop.answered).open(bench.servers.nats.url)
        await loop.closed(sizes.warmup)
        loop.latencies.clear()
        seconds = await loop.closed(phase)
        rate = share * len(loop.latencies) / seconds
        loop.latencies.clear()
        over = asyncio.Event()
        going_on = asyncio.create_task(beside.phases(loop, rate, phase, bench.cpu, over))
        try:
            gets = await asyncio.to_thread(bench.generator.run, options)
        finally:
            over.set()
            phases = await going_on
            loop.writer.close()
    writing = sum(phase.ended - phase.began for phase in phases if phase.writing)
    return beside.compared(phases, gets["series"]) | {
        "gets_latency_us": gets["latency_us"],
        "faults": sum(gets["faults"].values()),
        "refused": loop.refused,
        "writes_per_second": len(loop.latencies) / writing,
        "latency_us": _percentiles(loop.latencies),
    }


async def imports(bench: Bench) -> dict[str, Any]:
    """``kaa-epr import`` of new endpoints with their events; CPU is the importing process's."""
    lines = bench.work / "import.jsonl"
    with lines.open("w") as file:
        for endpoint in bench.written:
            metadata = {
                "serial": endpoint,
                "site": "bench",
                "batteryPowered": True,
                "reportIntervalSeconds": 60,
            }
            line = {"endpointId": f"import-{endpoint}", "application": "bench", "metadata": metadata}
            file.write(json.dumps(line) + "\n")
    settings = bench.settings(REGISTER, register=True)
    settings["mongo"]["collection"] = IMPORTED
    with MongoClient[dict[str, Any]](bench.servers.mongo.uri) as client:
        client[DATABASE][IMPORTED].drop()
    config = bench.work / "import.yaml"
    config.write_text(json.dumps(settings))
    command = [bench.register.python, "-m", "kaa_epr", "import", str(lines), "--config", str(config)]
    before = {**bench.cpu(), REGISTER: sum(os.times()[2:4])}
    begun = time.perf_counter()
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    seconds = time.perf_counter() - begun
    after = {**bench.cpu(), REGISTER: sum(os.times()[2:4])}
    count = len(bench.written)
    return {
        "writes_per_second": count / seconds,
        "latency_us": _percentiles([seconds]),
        "refused": int(done.returncode != 0),
        "cpu_us_per_write": {name: (cpu - before[name]) * 1e6 / count for name, cpu in after.items()},
    }


@dataclass(frozen=True, slots=True)
class Scenario:
    """One figure, of ours and of those beside it."""

    name: str
    title: str
    measure: Callable[[Bench], Coroutine[Any, Any, dict[str, Any]]]
    contenders: tuple[str, ...] = (OURS,)


def _nats(name: str, title: str, slots: int, *contenders: str, endpoints: int = 10_000) -> Scenario:
    return Scenario(name, title, partial(closed_loop, slots=slots, endpoints=endpoints), (OURS, *contenders))


def _rest(name: str, title: str, client: type[RestClient], slots: int, *contenders: str) -> Scenario:
    measure = partial(closed_loop, slots=slots, endpoints=10_000, rest=client)
    return Scenario(name, title, measure, (OURS, *contenders))


def _gets(name: str, title: str, *, split: bool, same: bool = False) -> Iterator[Scenario]:
    for share in SHARES:
        measure = partial(gets_beside, share=share, split=split, same=same)
        yield Scenario(f"{name}-{share * 100:.0f}", f"{title}: at {share * 100:.0f} %", measure)


SCENARIOS: Final = (
    _nats("key-update", "19/EPMMP key update, 256 under way", SLOTS, BEFORE, OURS_PYMONGO),
    _nats("key-update-64", "19/EPMMP key update, 64 under way", 64),
    _nats("key-update-1", "19/EPMMP key update, one at a time", 1, BEFORE, OURS_PYMONGO),
    _nats("key-update-hot", "19/EPMMP key update of one endpoint, 64 under way", 64, endpoints=1),
    _rest("put-key", "REST PUT of a key, 64 connections", KeyPuts, 64, OBVIOUS, BEFORE),
    _rest("put-key-1", "REST PUT of a key, one at a time", KeyPuts, 1, OBVIOUS, BEFORE),
    _rest("get-endpoint", "REST GET of an endpoint, 64 connections", EndpointGets, 64, OBVIOUS, BEFORE),
    Scenario(
        "key-batch",
        "19/EPMMP key batch update of 1000 endpoints, one at a time",
        key_batch_updates,
        (OURS, BEFORE, OURS_PYMONGO),
    ),
    Scenario(
        "register-batch",
        "REST registration of 1000 endpoints, one at a time",
        batch_registrations,
        (OURS, BEFORE),
    ),
    Scenario("import", "`kaa-epr import` of new endpoints, events included", imports, (OURS, BEFORE)),
    *_gets("gets", "gets, writes to other endpoints, both in one process", split=False),
    *_gets("gets-split", "gets, writes to other endpoints, responder and register apart", split=True),
    *_gets(
        "gets-same",
        "gets of 3 fields, writes to the same endpoints, responder and register apart",
        split=True,
        same=True,
    ),
)
