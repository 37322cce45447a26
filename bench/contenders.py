"""Those that answer: ours, started as users start it, and the peers, each a directory under ``peers/``."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.generator import ROOT
from bench.scenarios import OURS, OURS_PURE, OURS_PYMONGO, Scenario
from bench.servers import DATABASE, Servers

PEERS: Final = ROOT / "bench" / "peers"
READY_SECONDS: Final = 30
STOP_SECONDS: Final = 30


class Skipped(Exception):
    """A contender that this machine cannot run; the text says why."""


class ContenderFailed(Exception):
    """A contender that ended or never became ready."""


@dataclass(frozen=True, slots=True)
class Contender:
    """How to start one; ``settings`` only for ours."""

    name: str
    title: str
    answers: str
    """``metadata`` or ``echo``."""
    command: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def running(self, scenario: Scenario, servers: Servers, work: Path) -> Iterator[int]:
        """Its process id, once it is subscribed."""
        log = (work / f"{self.name}.log").open("ab")
        start = _start_peer if self.command else _start_ours
        with log:
            process = start(self, scenario, servers, work, log)
            try:
                yield process.pid
                if process.poll() is not None:
                    raise ContenderFailed(f"{self.name} ended with {process.returncode}, see {log.name}")
            finally:
                stop(process)


def instance(contender: Contender) -> str:
    """The service instance name that it answers for."""
    return f"bench-{contender.name}"


def contender(name: str, out: Path) -> Contender:
    """Finds it, builds it if need be. Raises Skipped."""
    if name == OURS:
        return Contender(name, "kaa-epr", "metadata")
    if name == OURS_PYMONGO:
        return Contender(
            name, "kaa-epr (mongo.driver: pymongo)", "metadata", (), {"mongo": {"driver": "pymongo"}}
        )
    if name == OURS_PURE:
        return Contender(name, "kaa-epr (engine: pure)", "metadata", (), {"engine": "pure"})
    return _peer(PEERS / name, out)


def _peer(here: Path, out: Path) -> Contender:
    recipe = tomllib.loads((here / "peer.toml").read_text())
    name = here.name
    for program in recipe.get("programs", ()):
        if shutil.which(program) is None:
            raise Skipped(f"{name} is skipped: no {program} on PATH")
    for module in recipe.get("python", ()):
        if importlib.util.find_spec(module) is None:
            raise Skipped(f"{name} is skipped: no Python module {module}")
    if "library" in recipe:
        known = subprocess.run(["pkg-config", "--exists", recipe["library"]], check=False)
        if known.returncode != 0:
            raise Skipped(f"{name} is skipped: no library {recipe['library']}, {recipe['missing']}")
    names = {"here": str(here), "out": str(out), "python": sys.executable}
    if "build" in recipe:
        out.mkdir(parents=True, exist_ok=True)
        built = subprocess.run(
            _filled(recipe["build"], names), stderr=subprocess.PIPE, text=True, check=False
        )
        if built.returncode != 0:
            said = built.stderr.strip().splitlines() or [f"status {built.returncode}"]
            why = next((line for line in said if line.startswith("error") or " error: " in line), said[-1])
            raise Skipped(f"{name} is skipped: it does not build here: {why}")
    return Contender(name, recipe["title"], recipe["answers"], tuple(_filled(recipe["run"], names)))


def _filled(words: list[str], names: dict[str, str]) -> list[str]:
    return [word.format_map(names) for word in words]


def _start_peer(
    peer: Contender, scenario: Scenario, servers: Servers, _work: Path, log: Any
) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "NATS_URL": servers.nats.url,
        "INSTANCE": instance(peer),
        "MONGO_URI": servers.mongo.uri,
        "MONGO_DATABASE": DATABASE,
        "MONGO_COLLECTION": scenario.dataset.collection,
        "CACHE_ENTRIES": str(scenario.cache_entries),
        "SCHEMAS": str(ROOT / "schemas"),
    }
    process = subprocess.Popen(peer.command, env=environment, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], READY_SECONDS)
    if not readable or process.stdout.readline() != b"ready\n":
        stop(process)
        raise ContenderFailed(f"{peer.name} did not become ready, see {log.name}")
    return process


def _start_ours(
    ours: Contender, scenario: Scenario, servers: Servers, work: Path, log: Any
) -> subprocess.Popen[bytes]:
    settings: dict[str, Any] = {
        "service": {"instance_name": instance(ours)},
        "nats": {"servers": [servers.nats.url]},
        "mongo": {
            "uri": servers.mongo.uri,
            "database": DATABASE,
            "collection": scenario.dataset.collection,
        },
        "management": {"port": 0},
        "log": {"level": "warning"},
    }
    for more in (scenario.settings, ours.settings):
        for group, values in more.items():
            settings[group] = settings.get(group, {}) | values if isinstance(values, dict) else values
    return serve(ours.name, settings, work, log)


def serve(
    name: str, settings: dict[str, Any], work: Path, log: Any, python: str = sys.executable
) -> subprocess.Popen[bytes]:
    """Starts kaa-epr as users do, and returns when it is ready; ``work/NAME.ready`` says where.

    ``python``: of the environment that it is installed in. Raises ContenderFailed.
    """
    config, ready = work / f"{name}.yaml", work / f"{name}.ready"
    config.write_text(json.dumps(settings, indent=2))  # JSON is YAML
    ready.unlink(missing_ok=True)
    command = [python, "-m", "kaa_epr", "serve", "--config", str(config), "--ready-file", str(ready)]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    for _ in range(READY_SECONDS * 50):
        if ready.exists():
            return process
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        break
    stop(process)
    raise ContenderFailed(f"{name} did not become ready, see {log.name}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends it, by force if need be."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
