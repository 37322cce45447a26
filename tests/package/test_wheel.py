"""The wheel: built, installed into an environment of its own without Rust, and asked for one get."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.embedded.process import ServerProcess
from tests.support.command import READY, START_TIMEOUT

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.package, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as ``make wheel`` does, with the same target directory, so that nothing is compiled twice."""
    out = tmp_path_factory.mktemp("dist")
    maturin = Path(sys.executable).with_name("maturin")
    subprocess.run(
        [maturin, "build", "--release", "--locked", "--strip", "--out", out, "-q"], cwd=ROOT, check=True
    )
    (built,) = out.glob("kaa_epr-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of a new environment that has the wheel and what it requires, and no more."""
    environment = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin/python"
    pins = ROOT / "constraints.txt"
    subprocess.run([python, "-m", "pip", "install", "-q", "-c", pins, wheel], env=bare(), check=True)
    return environment / "bin"


def bare() -> dict[str, str]:
    """An environment whose PATH has no Rust, and where nothing leads to the checkout."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "KAA_EPR"))}
    return {**kept, "PATH": "/usr/local/bin:/usr/bin:/bin", "COLUMNS": "200", "NO_COLOR": "1"}


def command(installed: Path, *arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [installed / "kaa-epr", *arguments], env=bare(), cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_what_runs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "-cp311-abi3-" in wheel.name
    assert "kaa_epr/_core.abi3.so" in names
    assert "kaa_epr/py.typed" in names
    shipped = {
        name.removeprefix("kaa_epr/_schemas/") for name in names if name.startswith("kaa_epr/_schemas/")
    }
    assert shipped == {
        path.relative_to(ROOT / "schemas").as_posix()
        for path in (ROOT / "schemas").rglob("*")
        if path.is_file()
    }
    assert "kaa_epr/_samples/endpoints.jsonl" in names
    assert all(name.startswith(("kaa_epr/", "kaa_epr-")) for name in names)
    assert not any("tests" in name or name.endswith(".rs") for name in names)


def test_version(installed: Path, tmp_path: Path) -> None:
    lines = command(installed, "version", cwd=tmp_path).splitlines()
    assert lines[0] != "kaa-epr 0+source"
    assert lines[1].startswith("engine rust ")
    assert lines[1].endswith("(release)")


def test_one_get(
    installed: Path,
    nats_server: NatsServer,
    mongod: MongoServer,
    mongo_database: str,
    instance_name: str,
    tmp_path: Path,
) -> None:
    """Imports the samples, serves, and gets one, all with the installed command."""
    config = tmp_path / "epr.yaml"
    config.write_text(
        f"service: {{instance_name: {instance_name}}}\n"
        f"nats: {{servers: ['{nats_server.url}']}}\n"
        f"mongo: {{uri: '{mongod.uri}', database: {mongo_database}}}\n"
        "management: {port: 0}\n"
    )
    samples = tmp_path / "endpoints.jsonl"
    samples.write_bytes((ROOT / "samples/endpoints.jsonl").read_bytes())
    command(installed, "import", str(samples), "--config", str(config), cwd=tmp_path)
    service = ServerProcess(
        "kaa-epr", [installed / "kaa-epr", "serve", "--config", config], tmp_path / "serve.log", bare()
    )
    service.start()
    service.wait_for(READY, START_TIMEOUT)
    asked = command(installed, "get", "sample-0001", "-i", "model", "--raw", "-c", str(config), cwd=tmp_path)
    service.stop()
    assert asked == '{"model":"SM-200"}\n'
