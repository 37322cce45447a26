"""The benchmark on tiny input: it runs from end to end, checks every answer, and shows what it stored."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench import render, run, write_tables, writes
from bench.contenders import PEERS, Skipped, contender
from bench.generator import Generator, GeneratorFailed
from bench.locust.link import messages
from bench.locust.mix import Mix
from bench.results import FORMAT, Results
from bench.scenarios import QUICK_CONTENDERS, SCENARIOS, Scenario
from bench.storing import CannotResume, Unfinished
from kaa_epr.embedded import NatsServer

SMOKE = (
    "canonical",
    "cold",
    "storm-same",
    "storm-register",
    "storm-numbered",
    "events",
    "events-register",
    "flush",
)


@pytest.mark.timeout(300)  # builds the generator where nobody has yet
@pytest.mark.slow
def test_smoke_run(tmp_path: Path) -> None:
    chosen = [word for name in SMOKE for word in ("--scenario", name)]
    status = run.main(["--quick", "--work", str(tmp_path), *chosen])
    (stored,) = (tmp_path / "results").glob("*.json")
    results = Results.read(stored)

    assert results.content["failures"] == []
    assert status == 0
    measured = results.content["scenarios"]["canonical"]["contenders"]
    skipped = [reason.split(" is skipped")[0] for reason in results.content["skipped"]]
    assert sorted([*measured, *skipped]) == sorted(QUICK_CONTENDERS)
    for name, one in measured.items():
        (only,) = one["rounds"]
        assert only["gets"] > 0
        assert only["ok"], only["faults"]
        assert only["watched"]["responder"]["rss_bytes"] > 0
        assert results.spread("canonical", name, "p50") is not None
    for name in ("storm-same", "storm-register", "storm-numbered", "events", "events-register"):
        assert results.rounds(name, "kaa-epr")[0]["events"] > 0
    for name in ("storm-same", "storm-register", "storm-numbered"):
        (beside,) = results.rounds(name, "kaa-epr-baseline")
        assert beside["ok"]
        assert beside["events"] == 0

    drawn = render.draw_charts(results, tmp_path / "charts")
    assert {"canonical-cpu.svg", "flush.svg"} <= {path.name for path in drawn}
    for path in drawn:
        assert ET.parse(path).getroot().tag.endswith("svg")
    assert "**kaa-epr**" in render.short_table(results)


@pytest.mark.timeout(300)  # builds the generator where nobody has yet
@pytest.mark.slow
def test_locust_distributed(tmp_path: Path) -> None:
    page = tmp_path / "locust.html"
    command = [sys.executable, "bench/locust/run.py", "--quick", "--work", str(tmp_path), "--html", str(page)]
    command += ["--users", "10", "--seconds", "5", "--endpoints", "300", "--hot", "50", "--think", "0.02"]
    command += ["--mix", "hit=4,include=2,miss=2,unknown=1,update=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "2 workers connected" in said
    for name in ("hit", "include", "miss", "unknown", "update", "read-back"):
        assert f"EPMMP    {name} " in done.stdout + done.stderr
    assert "read-back" in page.read_text()


@pytest.mark.timeout(300)  # builds the generator where nobody has yet
@pytest.mark.slow
def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = run._Bench.measure
    stop_at = {"flush"}

    def stopped(bench: run._Bench, scenario: Scenario, turn: list[run.Slot]) -> dict[str, Any]:
        if scenario.name in stop_at:
            raise KeyboardInterrupt
        return measure(bench, scenario, turn)

    monkeypatch.setattr(run._Bench, "measure", stopped)
    quick = ["--quick", "--work", str(tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        run.main([*quick, "--scenario", "events", "--scenario", "flush", "--rounds", "2"])
    (unfinished,) = (tmp_path / "unfinished").glob("*.json")
    kept = Results.read(unfinished)
    assert list(kept.content["scenarios"]) == ["events"]

    stop_at.clear()
    stop_at.add("events")  # what was measured is not measured again
    assert run.main([*quick, "--resume", str(unfinished)]) == 0
    (stored,) = (tmp_path / "results").glob("*.json")
    results = Results.read(stored)
    assert results.rounds("events", "kaa-epr") == kept.rounds("events", "kaa-epr")
    assert len(results.rounds("flush", "kaa-epr")) == 2
    assert not unfinished.exists()


def test_only_a_run_of_the_same_program_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with pytest.raises(CannotResume, match="cannot be read"):
        Unfinished.read(path, "dev")
    path.write_text(json.dumps({"format": 1, "commit": "another", "build_profile": "dev"}))
    with pytest.raises(CannotResume, match=f"format 1, here it is {FORMAT}"):
        Unfinished.read(path, "dev")
    path.write_text(json.dumps({"format": FORMAT, "commit": "another", "build_profile": "dev"}))
    with pytest.raises(CannotResume, match="commit 'another'"):
        Unfinished.read(path, "dev")


def test_generator_counts_what_nobody_answers(nats_server: NatsServer) -> None:
    generator = Generator(release=False)
    options = [f"--nats={nats_server.url}", "--instance=nobody", "--endpoints=10", "--window=4"]
    told = generator.run([*options, "--warmup=0", "--duration=0.2", "--timeout=0.3"])
    assert not told["ok"]
    assert told["gets"] == 0
    assert told["faults"]["lost"] == 4
    assert told["latency_us"]["p50"] >= 300_000


def test_generator_without_a_server_says_so() -> None:
    with pytest.raises(GeneratorFailed, match="cannot connect"):
        Generator(release=False).run(["--nats=nats://127.0.0.1:1", "--endpoints=1"])


def test_a_peer_without_its_toolchain_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Skipped, match="echo-go is skipped: no go on PATH"):
        contender("echo-go", tmp_path)


def test_every_named_contender_exists() -> None:
    named = {name for scenario in SCENARIOS for name in scenario.contenders}
    recipes = {path.parent.name: tomllib.loads(path.read_text()) for path in PEERS.glob("*/peer.toml")}
    writers = {name for name, recipe in recipes.items() if recipe["answers"] == "writes"}
    assert {name for name in named if not name.startswith("kaa-epr")} == recipes.keys() - writers
    assert writers == {"register-obvious"}


@pytest.mark.parametrize("wrong", ["hot=1", "hit=-1", "hit=x", "", "hit=0"])
def test_a_wrong_mix_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError):
        Mix.parse(wrong)


def test_messages_of_a_split_stream() -> None:
    stream = b"INFO {}\r\nMSG r 1 5\r\na\r\nbc\r\nPING\r\nMSG r 1 0\r\n\r\n"
    whole = [payload for _, payload in messages(stream)]
    assert whole == [b"a\r\nbc", None, b""]
    for cut in range(len(stream)):
        first = list(messages(stream[:cut]))
        used = first[-1][0] if first else 0
        assert [payload for _, payload in [*first, *messages(stream[used:])]] == whole
    with pytest.raises(ConnectionError, match="Authorization"):
        list(messages(b"-ERR 'Authorization Violation'\r\n"))


@pytest.mark.timeout(300)  # builds the generator where nobody has yet
@pytest.mark.slow
def test_writes_smoke_run(tmp_path: Path) -> None:
    chosen = ["key-update-64", "put-key", "register-batch", "import", "gets-split-5"]
    words = [word for name in chosen for word in ("--scenario", name)]
    words += ["--contender", "ours", "--contender", "obvious"]
    status = writes.main(["--quick", "--work", str(tmp_path), *words])
    (stored,) = (tmp_path / "results").glob("writes-*.json")
    results = json.loads(stored.read_text())

    assert results["failures"] == []
    assert status == 0
    for name in chosen:
        contenders = results["scenarios"][name]["contenders"]
        assert set(contenders) == ({"ours", "obvious"} if name == "put-key" else {"ours"})
        for (only,) in contenders.values():
            assert only["refused"] == 0
            assert only["writes_per_second"] > 0
    tables = write_tables.full(results)
    for name in chosen:
        assert results["scenarios"][name]["title"] in tables
    assert "writes/s held" in tables
    assert "REST PUT of a key, 64 connections: ours / obvious, writes/s" in tables
