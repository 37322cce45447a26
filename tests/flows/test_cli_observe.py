"""``kaa-epr observe`` as a process: ready file, metrics, signals, summary, exit status."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kaa_epr.embedded import MongoServer, NatsServer
from tests.flows.observe_support import answer, frozen, publish
from tests.flows.register_support import connected
from tests.support.command import PROGRAM, START_TIMEOUT, environment, run
from tests.support.http_client import plain_client
from tests.support.waiting import until


@contextmanager
def observe(directory: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The process and its ready file."""
    ready_file = directory / "observe.json"
    argv: list[str | Path] = [PROGRAM, "observe", "--port", "0", "--ready-file", ready_file, *arguments]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    try:
        yield process, ready_file
    finally:
        process.kill()
        process.communicate()


def reach(nats_server: NatsServer, mongod: MongoServer, instance: str) -> list[str]:
    narrowed = f"invalidation.originators={instance}"
    return ["--nats", nats_server.url, "--mongo", mongod.uri, "--instance", instance, "--set", narrowed]


def sample(metrics: str, name: str) -> float:
    (line,) = [line for line in metrics.splitlines() if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])


async def test_counts_are_on_the_port_and_in_the_summary(
    nats_server: NatsServer, mongod: MongoServer, instance_name: str, tmp_path: Path
) -> None:
    more = ["--json", "--no-store", "--fail-on-stale", "0", *reach(nats_server, mongod, instance_name)]
    async with connected(nats_server.url) as nc:
        with (
            frozen(nc, nats_server.url, instance_name, answer(1, k="s3cr3t"), tmp_path),
            observe(tmp_path, *more) as (process, ready_file),
        ):
            await until(ready_file.exists, "it is ready", START_TIMEOUT)
            ready = json.loads(ready_file.read_text())
            await publish(nc, instance_name, "e", 2)
            async with plain_client(ready["management"]) as http:
                stale = 'kaa_epr_observer_stale_total{longer_than="0"}'
                while not sample((await http.get("/metrics")).text, stale):
                    await publish(nc, instance_name, "other", 1)
                metrics = (await http.get("/metrics")).text
                health = await http.get("/health/ready")
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=20)
    assert health.status_code == 200
    assert sample(metrics, "kaa_epr_observer_hearing") == 1
    summary: dict[str, Any] = json.loads(out)
    assert process.returncode == 3
    assert ready["pid"] == process.pid
    assert summary["staleLongerThan"]["0"] == 1
    assert summary["verdicts"]["stale"] == 1
    assert b"s3cr3t" not in out + err


def test_it_ends_by_itself_with_a_line_for_people(
    nats_server: NatsServer, mongod: MongoServer, instance_name: str
) -> None:
    more = ["--duration", "0.5", "--fail-on-stale", "0", "--port", "0"]
    done = run("observe", *more, *reach(nats_server, mongod, instance_name))
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "0 events, 0 checked (0 skipped): none ended; stale for 0 > 0 s, 0 > 1 s, 0 > 10 s, 0 > 60 s; "
        "worst 0 s\n"
    )


def test_it_says_why_it_cannot_start(tmp_path: Path) -> None:
    done = run("observe", "--port", "0", "--set", f"nats.tls.ca_file={tmp_path / 'none.pem'}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nats.tls.ca_file" in done.stderr
    assert "expected a readable file" in done.stderr
