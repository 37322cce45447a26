"""Every example in the README is run and compared; every table in it is what the code says.

In a ``console`` block ``$`` begins a command and what follows is its output, where ``...`` stands for any
text and, on a line of its own, for any lines. A command that ends with ``&`` is for a terminal of its own: it
goes on while those behind it run. Addresses of the default ports stand for those in use here.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from kaa_epr.config.load import load
from tests.support.command import Served, environment

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


class Example(NamedTuple):
    command: str
    output: str


def blocks(language: str) -> list[str]:
    found = []
    for indent, name, text in FENCE.findall(README):
        if name == language:
            found.append("".join(line.removeprefix(indent) for line in text.splitlines(keepends=True)))
    return found


def examples() -> list[Example]:
    """All commands of all ``console`` blocks, in their order: later ones build on earlier ones."""
    found: list[Example] = []
    for text in blocks("console"):
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append(Example(command, output))
    return found


def matches(expected: str, output: str) -> bool:
    pattern = ""
    for line in expected.splitlines(keepends=True):
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.split("..."))
    return re.fullmatch(pattern, output) is not None


def here(text: str, service: Served) -> str:
    """``text`` with the addresses of the servers in use."""
    ready = service.ready
    return (
        text.replace("http://127.0.0.1:8080", ready["management"])
        .replace("http://127.0.0.1:8090", ready["rest"])
        .replace("nats://127.0.0.1:4222", ready["nats"])
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that looks like the repository to the examples, and takes the files they make."""
    directory = tmp_path_factory.mktemp("checkout")
    (directory / ".venv").mkdir()
    (directory / ".venv/bin").symlink_to(Path(sys.executable).parent)
    (directory / "samples").symlink_to(ROOT / "samples")
    return directory


class Terminal:
    """A command that goes on, once its first line says that it does."""

    def __init__(self, example: Example, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.example = example
        self.process = process
        self.first_line = process.stdout.readline()

    def end(self) -> str:
        rest, _ = self.process.communicate(timeout=30)
        return self.first_line + rest


@pytest.fixture(scope="module")
def terminals() -> Iterator[list[Terminal]]:
    """What earlier examples left running."""
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.process.kill()
        terminal.process.communicate()


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.command[:60])
def test_example(
    example: Example, embedded_service: Served, checkout: Path, terminals: list[Terminal]
) -> None:
    process = subprocess.Popen(
        ["bash", "-c", here(example.command.removesuffix("&"), embedded_service)],
        cwd=checkout,
        env=environment(embedded_service.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if example.command.endswith("&"):
        terminals.append(Terminal(example, process))
        return
    output, _ = process.communicate()
    assert matches(example.output, output), f"expected\n{example.output}\ngot\n{output}"


def test_examples_in_terminals_of_their_own(terminals: list[Terminal]) -> None:
    assert terminals
    for terminal in terminals:
        output = terminal.end()
        assert matches(terminal.example.output, output), f"expected\n{terminal.example.output}\ngot\n{output}"


def test_python_example(embedded_service: Served) -> None:
    (program,) = blocks("python")
    (expected,) = blocks("text")
    done = subprocess.run(
        [sys.executable, "-c", here(program, embedded_service)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected


@pytest.mark.parametrize("text", blocks("yaml"))
def test_configuration_example_is_accepted(text: str, tmp_path: Path) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(text)
    assert not load(file, environ={}).notes


def test_make_targets_exist_and_run_is_what_the_tests_start() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:^|`|\$ )make ([a-z-]+)", README, re.MULTILINE))
    assert {"run", "test"} <= named
    assert named <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert "kaa-epr serve --embedded --data-dir .data" in makefile


def test_every_fence_is_checked() -> None:
    languages = {name for _, name, _ in FENCE.findall(README)}
    assert languages == {"conf", "console", "python", "sh", "text", "yaml"}
    assert len(examples()) >= 15


def test_tables_are_those_of_the_code() -> None:
    assert tables().rendered(README) == README, "run .venv/bin/python .ci/readme.py"


def tables() -> ModuleType:
    spec = spec_from_file_location("readme", ROOT / ".ci/readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
