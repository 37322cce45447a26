"""Clocks that jump: the wall clock of a running process, and time that passed while a process stood still.

Timestamps of answers and the expiry of gets go by the wall clock, every bound of coherence by the other.
"""

from __future__ import annotations

import asyncio
import mmap
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from kaa_epr.embedded import NatsServer
from kaa_epr.messages import subjects
from tests.faults.scene import LOSSY, Scene
from tests.property.messages import Get
from tests.property.support import response
from tests.support.fleet import ENGINES, Fleet, Replica
from tests.support.raw_nats import RawNats

pytestmark = pytest.mark.faults

SOURCE: Final = Path(__file__).with_name("shifted_clock.c")
HOUR: Final = 3600


@contextmanager
def shiftable(replica: Replica, directory: Path) -> Iterator[mmap.mmap]:
    """Gives a replica that is not started yet a wall clock of its own."""
    library, clock = directory / "shifted_clock.so", directory / "offset"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    clock.write_bytes(bytes(8))
    replica.env |= {"LD_PRELOAD": str(library), "KAA_EPR_TEST_CLOCK": str(clock)}
    with clock.open("r+b") as file, mmap.mmap(file.fileno(), 8) as offset:
        yield offset


class Asker:
    """Gets with a timeout, and when the replica says it answered."""

    def __init__(self, connection: RawNats, instance: str) -> None:
        self._connection = connection
        self._subject = subjects.metadata_get_request(instance)
        self._answers: asyncio.Queue[int] = asyncio.Queue()
        connection.subscribe(
            "asker", lambda item: self._answers.put_nowait(response(item.payload)["timestamp"])
        )

    def send(self, timeout_ms: int) -> None:
        """One get, sent now by the true clock."""
        payload = Get(
            timestamp=time.time_ns() // 1_000_000, timeout=timeout_ms, endpoint_id="bulk-1"
        ).encode()
        self._connection.write(f"PUB {self._subject} asker {len(payload)}\r\n".encode() + payload + b"\r\n")

    async def ahead(self) -> float:
        """Seconds by which the timestamp of the next answer is ahead of the true clock."""
        return await self._answers.get() / 1000 - time.time()


@pytest.mark.parametrize("engine", ["fast", "pure"])
async def test_the_wall_clock_jumps(engine: str, server: NatsServer, scene: Scene, tmp_path: Path) -> None:
    scene.getter(server.url, alone=True)
    scene.bulk(server.url)
    replica = scene.replica(server.url, ENGINES[engine])
    with shiftable(replica, tmp_path) as offset:
        async with Fleet([replica]), scene.checked_load():
            await scene.settled([replica])
            flushes = await all_flushes(replica)
            connection = await RawNats.connected(server.url)
            asker = Asker(connection, scene.instance)
            for shift in (0, HOUR, -HOUR, 30 * 365 * 24 * HOUR, 0):
                offset[:] = struct.pack("@q", shift)
                asker.send(timeout_ms=0)
                assert abs(await asker.ahead() - shift) < 60
                expired = await replica.metric("requests_dropped_total:expired")
                asker.send(timeout_ms=60_000)
                if shift > 0:  # by the replica's clock it is an hour late
                    await replica.until_metric("requests_dropped_total:expired", expired + 1)
                else:
                    await asker.ahead()
                await scene.steady(answers=100, writes=10)
            # Nothing was thought to be old, silent or dead because of a clock that jumped.
            assert await all_flushes(replica) == flushes
            assert await replica.metric("link_connects_total") == 1
            connection.close()


async def all_flushes(replica: Replica) -> float:
    """Whatever the cause, but for heartbeats that a busy machine delayed."""
    samples = await replica.metrics()
    names = [name for name in samples if name.startswith("kaa_epr_flushes_total")]
    return sum(samples[name] for name in names if not name.endswith("heartbeat"))


async def test_a_process_that_stood_still_does_not_trust_what_it_knew(
    server: NatsServer, scene: Scene
) -> None:
    """Paused while its server goes on and gives it up; when it goes on, its monotonic clock has jumped."""
    getter = scene.getter(server.url, alone=True, patience=3.0)
    scene.bulk(server.url)
    async with Fleet([scene.replica(server.url)]) as fleet, scene.checked_load(LOSSY):
        await scene.settled(fleet)
        for _ in range(2):
            fleet[0].pause()
            await scene.writers[0].more(100)
            fleet[0].go_on()
            await getter.more(100)
            await scene.settled(fleet)


def days_ahead() -> list[str]:
    """A command that runs another in a time namespace; skips where that is not allowed."""
    program = shutil.which("unshare")
    if program is not None:
        prefix = [
            program,
            "--time",
            "--fork",
            "--kill-child",
            "--monotonic",
            "864000",
            "--boottime",
            "864000",
        ]
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    pytest.skip("this machine allows no time namespaces")


async def test_a_monotonic_clock_that_begins_elsewhere(server: NatsServer, scene: Scene) -> None:
    """In a time namespace, as in a container that was moved to another machine: days ahead."""
    scene.getter(server.url, alone=True)
    scene.bulk(server.url)
    replica = scene.replica(server.url)
    replica.prefix = days_ahead()
    async with Fleet([replica]), scene.checked_load():
        await scene.settled([replica])
        samples = await replica.metrics()
        assert samples["kaa_epr_cache_hits_total"] > 0
        assert samples["kaa_epr_cache_expirations_total"] == 0
