"""A distributed locust run on this machine: ``python bench/locust/run.py [--users N] [--html FILE] ...``.

Brings up nats-server and mongod, loads endpoints, starts kaa-epr as users start it, then a locust master and
workers on loopback, without a browser. Status 0 when no request failed.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    sys.path.remove(str(Path(__file__).resolve().parent))

from bench.contenders import Contender, contender, instance, stop
from bench.generator import ROOT, Generator
from bench.locust.mix import DEFAULT
from bench.scenarios import OURS, Dataset, Scenario
from bench.servers import DATABASE, Servers

WORK: Final = ROOT / "bench" / "work"
LOCUSTFILE: Final = ROOT / "bench" / "locust" / "locustfile.py"
LOOPBACK: Final = "127.0.0.1"
REGISTER: Final = {"register": {"enabled": True, "rest": {"port": 0}, "security": {"enabled": False}}}
"""Updates go through the register, over NATS."""


def main(arguments: Sequence[str]) -> int:
    """Run it; returns locust's own status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # what was started is stopped on the way
    options.work.mkdir(parents=True, exist_ok=True)
    options.html.parent.mkdir(parents=True, exist_ok=True)
    ours = contender(OURS, options.work / "peers")
    # A seed of its own: updates change these endpoints, and the benchmark's must stay as they are.
    scenario = Scenario("locust", "locust", (OURS,), Dataset(options.endpoints, seed=2), settings=REGISTER)
    with Servers(options.work) as servers:
        servers.load(scenario.dataset, Generator(release=not options.quick), print)
        with ours.running(scenario, servers, options.work):
            return swarm(options, ours, scenario, servers)


def swarm(options: argparse.Namespace, ours: Contender, scenario: Scenario, servers: Servers) -> int:
    """One master and its workers; the workers end with it."""
    base = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--host", servers.nats.url]
    base += ["--instance", instance(ours), "--mix", options.mix, "--think", str(options.think)]
    base += ["--hot", str(options.hot), "--endpoints", str(options.endpoints)]
    base += ["--mongo", servers.mongo.uri, "--database", DATABASE]
    base += ["--collection", scenario.dataset.collection]
    port = str(_free_port())
    master = ["--master", "--headless", "--master-bind-host", LOOPBACK, "--master-bind-port", port]
    master += ["--expect-workers", str(options.workers), "--only-summary", "--html", str(options.html)]
    master += ["-u", str(options.users), "-r", str(options.users), "-t", f"{options.seconds}s"]
    worker = ["--worker", "--master-host", LOOPBACK, "--master-port", port]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with ExitStack() as running:
        leader = subprocess.Popen([*base, *master], env=environment)
        running.callback(stop, leader)
        for _ in range(options.workers):
            running.callback(stop, subprocess.Popen([*base, *worker], env=environment))
        return leader.wait(options.seconds + 120)


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2, help="locust worker processes (2)")
    parser.add_argument("--users", type=int, default=200, help="users in all (200)")
    parser.add_argument("--seconds", type=int, default=30, help="length of the run (30)")
    parser.add_argument("--mix", default=DEFAULT, help=f"weights by kind ({DEFAULT})")
    parser.add_argument("--think", type=float, default=0.1, help="mean seconds between a user's gets (0.1)")
    parser.add_argument("--endpoints", type=int, default=20_000, help="endpoints in the store (20000)")
    parser.add_argument("--hot", type=int, default=1_000, help="endpoints that hits are spread over (1000)")
    parser.add_argument("--quick", action="store_true", help="build the data generator without optimising")
    parser.add_argument("--work", type=Path, default=WORK, help="servers' data and logs (bench/work)")
    parser.add_argument("--html", type=Path, default=WORK / "locust.html", help="the report (bench/work)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
