"""The soak: ``python -m bench.soak.run --minutes 30``. Exit status 1 when anything was beyond its bound.

Three nats-servers, three mongods, three replicas of kaa-epr; gets at a steady rate, every answer judged;
writers of four kinds; every kind of fault again and again, in another order each round; ``kaa-epr observe``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import nats
import pymongo
import uvloop
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from bench import machine
from bench.soak import report
from bench.soak.endpoints import Endpoint, Writer, document, endpoints
from bench.soak.faults import Faults, kinds
from bench.soak.fleet import DATABASE, INSTANCE, Fleet
from bench.soak.getters import LOST_AFTER, Getter, Load
from bench.soak.judge import Judge
from bench.soak.observer import Observer
from bench.soak.options import parsed
from bench.soak.publisher import Publisher
from bench.soak.sampling import Sampling
from bench.soak.writers import BatchWriter, Collection, Paced, RegisterWriter
from kaa_epr.errors import KaaEprError

LOAD: Final = (0.42, 0.42, 0.16)
"""Of the gets, by nats-server: those of the third replica pass the proxy, which costs as much again."""
WINDOW: Final = 8_000
"""Gets under way on each connection at most, about what a second brings: no more where nobody answers."""
WRITERS: Final = 12
"""At a time in batches: a batch waits for the majority and for a server, not for the other batches."""
BATCH: Final = 50
FOREIGN_BATCH: Final = 5
SHARES: Final = {Writer.REGISTER: 0.1, Writer.FOREIGN: 0.03}
"""Of all writes; the rest comes in batches."""
FEW: Final = {Writer.REGISTER: 400, Writer.FOREIGN: 50, Writer.SILENT: 10}
STORED: Final = ("rounds", "gets", "writes", "endpoints", "seed")
WARM_SECONDS: Final = 5.0
CALM_SECONDS: Final = 3.0
"""At least, between two faults."""


class Soak:
    """One run. The parts are made in the order in which they need each other."""

    def __init__(self, options: argparse.Namespace, fleet: Fleet, running: AsyncExitStack) -> None:
        self.options = options
        self.fleet = fleet
        self.endpoints = endpoints({Writer.BULK: options.endpoints, **FEW})
        self.judge = Judge(len(self.endpoints))
        self._running = running
        self._tasks: list[asyncio.Task[None]] = []
        self.failed: list[str] = []
        """Faults that went otherwise than meant."""

    async def start(self) -> None:
        """Endpoints, replicas, writers, getters."""
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(self.fleet.mongo.uri)
        self._running.push_async_callback(client.close)
        collection = client[DATABASE].get_collection(
            "endpoints", write_concern=WriteConcern("majority", j=True)
        )
        await collection.insert_many([document(endpoint) for endpoint in self.endpoints])
        await self.fleet.start_replicas()
        await self._start_writers(collection)
        urls = self.fleet.nats.urls
        self.getters = [
            Getter(urls[n:] + urls[:n], INSTANCE, self.endpoints, self.judge, n) for n in range(len(urls))
        ]
        for getter in self.getters:
            await getter.line.open()
            self._running.push_async_callback(getter.line.close)
        rates = [share * self.options.gets for share in LOAD]
        self.run(Load(self.getters, rates, WINDOW).run())

    async def _start_writers(self, collection: Collection) -> None:
        bulk = await self._publisher("soak-bulk", numbered=True)
        silent = await self._publisher("soak-silent", numbered=True)
        foreign = await self._publisher("soak-foreign", numbered=False)
        share = self.options.writes
        rest = share * (1 - sum(SHARES.values()))
        self.silent = BatchWriter(collection, silent, self.of(Writer.SILENT), self.judge, rate=1, batch=1)
        ours = self.of(Writer.BULK)
        batches = [
            *(
                BatchWriter(collection, bulk, ours[n::WRITERS], self.judge, rate=rest / WRITERS, batch=BATCH)
                for n in range(WRITERS)
            ),
            BatchWriter(
                collection,
                foreign,
                self.of(Writer.FOREIGN),
                self.judge,
                rate=share * SHARES[Writer.FOREIGN],
                batch=FOREIGN_BATCH,
                repeat=True,
            ),
        ]
        nc = await nats.connect(
            self.fleet.nats.urls, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_expected
        )
        self._running.push_async_callback(nc.close)
        self.register = RegisterWriter(
            nc, INSTANCE, self.of(Writer.REGISTER), self.judge, rate=share * SHARES[Writer.REGISTER]
        )
        self.writers: list[Paced] = [*batches, self.register]
        for writer in self.writers:
            self.run(writer.run())
        self.faults = Faults(self.fleet, bulk, silent, self.silent, self.of(Writer.SILENT))

    async def _publisher(self, originator: str, *, numbered: bool) -> Publisher:
        publisher = Publisher(self.fleet.nats.urls, originator, numbered=numbered)
        await publisher.open()
        self._running.push_async_callback(publisher.close)
        return publisher

    def of(self, writer: Writer) -> list[Endpoint]:
        """The endpoints that ``writer`` changes."""
        return [endpoint for endpoint in self.endpoints if endpoint.writer is writer]

    def run(self, work: Any) -> None:
        """In the background; what it raises ends the soak."""
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def stop(self) -> None:
        """Ends all background tasks."""
        left = set(self._tasks)
        while left:
            for task in left:
                # Again and again: a driver that is at work may take one cancellation for its own.
                task.cancel()
            _, left = await asyncio.wait(left, timeout=1.0)

    def answered(self) -> int:
        """Gets answered so far."""
        return sum(getter.answered for getter in self.getters)

    def written(self) -> int:
        """Writes acknowledged so far."""
        return sum(writer.acknowledged for writer in self.writers)

    # --- faults ---------------------------------------------------------------------------------------------
    async def break_all(self) -> None:
        """Every kind of fault, round after round, evenly over the time."""
        order = random.Random(self.options.seed)
        slot = self.options.minutes * 60 / (self.options.rounds * len(self.options.kind))
        for number in range(self.options.rounds):
            for kind in order.sample(self.options.kind, len(self.options.kind)):
                begun = time.monotonic()
                await self._break(kind, kinds()[kind], number)
                await asyncio.sleep(max(CALM_SECONDS, slot - (time.monotonic() - begun)))
                self._check_tasks()

    async def _break(self, kind: str, fault: Callable[[Faults], Awaitable[None]], number: int) -> None:
        self._close_phase()
        phase = self.judge.enter(kind)
        try:
            await fault(self.faults)
            await self.fleet.settled()
        except (AssertionError, KaaEprError, PyMongoError, OSError) as error:
            # Half an hour of findings is worth more than the end of the run.
            self.failed.append(f"{kind}: could not be injected: {type(error).__name__}: {error}")
            await self.fleet.revive()
        say(
            f"{number + 1} {kind}: {time.monotonic() - phase.begun:.1f} s, worst {phase.worst:.3f} s,"
            f" {dict(phase.statuses)} lost {phase.lost} refused {phase.refused} wrong {phase.wrong}"
        )

    def _close_phase(self) -> None:
        self.judge.now.answers = self.answered() - sum(phase.answers for phase in self.judge.phases)

    def _check_tasks(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()
                raise AssertionError(f"{task} ended")

    async def end(self) -> None:
        """A last look when nothing is broken: what was lost shows after a while."""
        self._close_phase()
        self.judge.enter("end")
        await asyncio.sleep(LOST_AFTER + 1)
        self._close_phase()
        self.judge.now.ended = time.monotonic()


async def _expected(_error: Exception) -> None:
    """nats-py's complaints of servers that were killed on purpose."""


async def soak(options: argparse.Namespace) -> dict[str, Any]:
    """What is stored."""
    content: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "minutes": options.minutes,
        "options": {
            name: getattr(options, name) for name in ("rounds", "gets", "writes", "endpoints", "seed")
        },
        "machine": machine.machine(),
        "versions": machine.versions() | {"pymongo": pymongo.version},
    }
    async with AsyncExitStack() as running:
        fleet = await running.enter_async_context(Fleet(options.work))
        run = Soak(options, fleet, running)
        running.push_async_callback(run.stop)
        content["versions"] |= fleet.versions()
        await run.start()
        observer = Observer(fleet)
        running.callback(observer.kill)
        await observer.start()
        await asyncio.sleep(min(WARM_SECONDS, options.minutes * 20))
        sampling = Sampling(fleet, {"gets": run.answered, "writes": run.written})
        run.run(sampling.run())
        await run.break_all()
        await run.end()
        content["observer"] = await observer.stop()
        await run.stop()
    content |= report.of_judge(run.judge) | {"rates": sampling.summary(), "memory": sampling.memory}
    content["register"] = {"refused": run.register.refused, "unanswered": run.register.unanswered}
    content["details"] = run.faults.details
    content["failures"] = run.failed + report.failures(content)
    return content


def main(arguments: Sequence[str]) -> int:
    """Run it, store the report, say how it went."""
    options = parsed(arguments, __doc__ or "")
    shutil.rmtree(options.work, ignore_errors=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        content = runner.run(soak(options))
    stored = store(content, options.results)
    say(report.text(content))
    say(f"stored as {stored}")
    return 1 if content["failures"] else 0


def store(content: dict[str, Any], directory: Path) -> Path:
    """As JSON, and as Markdown beside it."""
    directory.mkdir(parents=True, exist_ok=True)
    stamp = content["started"][:16].replace(":", "").replace("-", "")
    path = directory / f"soak-{stamp}-{content['commit'].rstrip('+')}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    path.with_suffix(".md").write_text(report.text(content))
    return path


def say(text: str) -> None:
    """At once, also into a file."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
