"""``.ci/require``: what is missing on a fresh machine is said in one sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REQUIRE = Path(__file__).resolve().parents[2] / ".ci/require"
TOOLS = ("sh", "uname", "cut", "sort", "head", "id")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A directory for PATH with everything that a build needs; tests take something away."""
    path = tmp_path / "bin"
    path.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (path / tool).symlink_to(found)
    pretend(path, "python3", f'exec "{sys.executable}" "$@"')
    pretend(path, "cargo", "echo cargo 1.95.0")
    pretend(path, "cc", "exit 0")
    return path


def pretend(path: Path, name: str, body: str) -> None:
    program = path / name
    program.unlink(missing_ok=True)
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


def required(machine: Path, what: str) -> tuple[int, str]:
    done = subprocess.run(
        [REQUIRE, what], env={"PATH": str(machine)}, capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_nothing_is_missing(machine: Path) -> None:
    assert required(machine, "build") == (0, "")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("cargo", "rustup.rs"), ("cc", "apt-get install gcc"), ("python3", "apt-get install")],
)
def test_a_missing_tool_is_named_with_its_remedy(machine: Path, name: str, remedy: str) -> None:
    (machine / name).unlink()
    status, text = required(machine, "build")
    assert status == 1
    assert remedy in text
    assert text.count("\n") == 1


def test_an_old_rust_is_refused(machine: Path) -> None:
    pretend(machine, "cargo", "echo cargo 1.63.0")
    assert "cargo is 1.63.0, but Rust 1.88 or newer is needed" in required(machine, "build")[1]


def test_an_old_python_is_refused(machine: Path) -> None:
    pretend(machine, "python3", '[ "$1" = -V ] && echo Python 3.9.2; exit 1')
    assert "Python 3.9.2, but 3.11 or newer is needed" in required(machine, "build")[1]


def test_python_without_venv_is_refused(machine: Path) -> None:
    pretend(machine, "python3", 'case "$*" in *venv*) exit 1;; esac; exit 0')
    assert "apt-get install python3-venv" in required(machine, "build")[1]


def test_a_missing_libcurl_is_named_unless_there_is_another_mongod(machine: Path) -> None:
    pretend(machine, "python3", "exit 1")
    pretend(machine, "uname", "echo x86_64")
    status, text = required(machine, "servers")
    assert (status, text.count("\n")) == (1, 1)
    assert "apt-get install libcurl4" in text
    pretend(machine, "mongod", "exit 0")
    assert required(machine, "servers") == (0, "")


def test_a_platform_without_a_mongod_is_told_so(machine: Path) -> None:
    pretend(machine, "uname", "echo riscv64")
    assert "no mongod for riscv64" in required(machine, "servers")[1]
