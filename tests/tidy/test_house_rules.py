"""What the files look like. The numbers only ever get smaller."""

from __future__ import annotations

import ast
import re
from collections import Counter
from typing import Final

import pytest

from kaa_epr import schemas
from tests.tidy.tree import ROOT, Function, functions, python, rust, text, tracked, tree

MAX_FILE: Final = 500
MAX_FUNCTION: Final = 70
LONG_FILE: Final = 300
LONG_FUNCTION: Final = 30

LONG_FILES: Final = 7
"""Files of the product longer than LONG_FILE lines."""
LONG_FUNCTIONS: Final = 19
"""Functions of the product longer than LONG_FUNCTION lines (their docstrings and signatures count)."""
SILENCED: Final = 27
"""Remarks that silence a linter or the type checker in the product."""

MARKS: Final = re.compile(r"\b(?:(?:TODO|FIXME|XXX|HACK)\b|unimplemented!|todo!)")
OWN: Final = "tests/tidy/"
"""These files name what they look for."""
PATHS: Final = re.compile(r"(?<![\w.*-])/(work|root)/|/tmp/(v|pytest|target)\b")
SLEEPS: Final = {"sleep"}
MAY_SLEEP: Final = {"tests/support/waiting.py": 1, "tests/support/proxy.py": 1}
"""How often: the one place that looks again until a state without a signal is reached, and a slow link."""
CHECKS: Final = re.compile(
    r"assert|raises|\bcheck|expect|verify|fail\(|warns|run_state_machine|timeout=|timeout\(|\bping\("
)
RAISES_NOTHING: Final = {"test_stop_after_the_connection_closed"}
"""Tests whose whole point is that nothing is raised."""
BINARY: Final = (".svg", ".png", ".html", ".lock", ".bin", ".gz", ".proptest-regressions")


def product() -> list[str]:
    return python("python/")


def sources() -> list[str]:
    return [*python(), *rust()]


def texts() -> list[str]:
    return [path for path in tracked() if not path.endswith(BINARY)]


def lines(path: str) -> int:
    return len(text(path).splitlines())


def all_functions(paths: list[str]) -> list[Function]:
    return [function for path in paths for function in functions(path)]


def test_no_file_is_too_long() -> None:
    assert not [f"{path}: {lines(path)}" for path in sources() if lines(path) > MAX_FILE]


def test_no_function_is_too_long() -> None:
    assert not [str(function) for function in all_functions(python()) if function.lines > MAX_FUNCTION]


def test_long_files_get_fewer() -> None:
    assert len([path for path in [*product(), *rust()] if lines(path) > LONG_FILE]) <= LONG_FILES


def test_long_functions_get_fewer() -> None:
    assert len([f for f in all_functions(product()) if f.lines > LONG_FUNCTION]) <= LONG_FUNCTIONS


def test_silenced_checks_get_fewer() -> None:
    count = sum(len(re.findall(r"# (?:noqa|type: ignore)", text(path))) for path in product())
    assert count <= SILENCED


def test_nothing_is_left_for_later() -> None:
    assert not [path for path in sources() if MARKS.search(text(path)) and not path.startswith(OWN)]


def test_no_path_of_somebodys_machine_is_written_down() -> None:
    assert not [path for path in texts() if PATHS.search(text(path)) and not path.startswith(OWN)]


def test_texts_end_with_a_line_end_and_lines_without_blanks() -> None:
    wrong = [path for path in texts() if re.search(r"[ \t]+$|\r", text(path), re.MULTILINE)]
    wrong += [path for path in texts() if text(path) and not re.search(r"[^\n]\n\Z", text(path))]
    assert not wrong


@pytest.mark.parametrize("path", [path for path in rust() if "/src/" in path])
def test_every_rust_module_says_what_it_is_for(path: str) -> None:
    assert text(path).startswith("//!")


def test_unsafe_code_is_in_the_binding_only() -> None:
    unsafe = re.compile(r"\bunsafe\s*(\{|fn|impl)")
    assert not [path for path in rust() if unsafe.search(text(path)) and not path.startswith("rust/py/")]


def test_tests_wait_for_signals_instead_of_sleeping() -> None:
    """``asyncio.sleep(0)`` is a turn of the loop, not a time."""
    found = Counter(
        path
        for path in python("tests/")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and called(node) in SLEEPS and not is_zero(node)
    )
    assert found <= Counter(MAY_SLEEP)


def called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def is_zero(node: ast.Call) -> bool:
    return bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0


def test_every_test_can_fail() -> None:
    """By what its text, or that of a helper of its file that it calls, checks."""
    weak = []
    for path in python("tests/"):
        checking = {f.name for f in functions(path) if CHECKS.search(source(f))}
        for function in functions(path):
            if not function.name.startswith("test") or function.name in checking | RAISES_NOTHING:
                continue
            calls = {called(node) for node in ast.walk(function.node) if isinstance(node, ast.Call)}
            if not calls & checking:
                weak.append(f"{path}: {function.name}")
    assert not weak, "\n".join(weak)


def source(function: Function) -> str:
    return ast.unparse(ast.Module(body=function.node.body, type_ignores=[]))


def test_every_schema_has_a_fingerprint_and_stands_in_the_readme() -> None:
    names = set(schemas.names())
    assert names == set(schemas.fingerprints())
    readme = text("schemas/README.md")
    listed = {name: name.rpartition("/")[2].partition(".rev")[0] for name in names}
    # An answer stands beside its request.
    assert not [name for name, file in listed.items() if file.replace("-response", "-request") not in readme]


def test_the_map_names_every_part() -> None:
    architecture = text("ARCHITECTURE.md")
    parts = {path.split("/")[2] for path in product() if path.count("/") > 2}
    assert not [part for part in parts if f"{part}/" not in architecture]


def test_the_wheel_links_lead_to_the_folders() -> None:
    package = ROOT / "python/kaa_epr"
    assert (package / "_schemas").resolve() == ROOT / "schemas"
    assert (package / "_samples").resolve() == ROOT / "samples"
