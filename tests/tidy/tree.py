"""The files under version control, read once, and the syntax trees of the Python ones."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class Function(NamedTuple):
    """One function and how long it is with its docstring, without its decorators."""

    path: str
    name: str
    lines: int
    node: FunctionNode

    def __str__(self) -> str:
        return f"{self.path}: {self.name} has {self.lines} lines"


@cache
def tracked() -> tuple[str, ...]:
    """Paths of all files under version control that are still there and are not symlinks."""
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    return tuple(path for path in listed if path and is_file(ROOT / path))


def is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


@cache
def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def tree(path: str) -> ast.Module:
    return ast.parse(text(path), path)


def python(*folders: str) -> list[str]:
    """Python files below any of ``folders``, all of them when none is given."""
    return [
        path for path in tracked() if path.endswith((".py", ".pyi")) and path.startswith(folders or ("",))
    ]


def rust() -> list[str]:
    return [path for path in tracked() if path.endswith(".rs")]


def functions(path: str) -> Iterator[Function]:
    for node in ast.walk(tree(path)):
        if isinstance(node, FunctionNode):
            assert node.end_lineno is not None
            yield Function(path, node.name, node.end_lineno - node.lineno + 1, node)


def imported(path: str) -> Iterator[str]:
    """Full names of the modules that ``path`` imports, wherever in it; ``from a import b`` gives a.b too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            if node.module == "kaa_epr":
                yield from (f"kaa_epr.{alias.name}" for alias in node.names)
