"""Reading the YAML file: lines, duplicates, limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaa_epr.config.problems import ConfigError
from kaa_epr.config.yaml_file import MAX_FILE_BYTES, read_yaml


def _write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "epr.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_entries_carry_their_lines(tmp_path: Path) -> None:
    text = "\ufeffa:\n  b: 1\n  c: [x, y]\nd.e: text\nf: {}\ng:\n"
    entries, problems = read_yaml(_write(tmp_path, text))
    assert [(entry.key, entry.value, entry.origin) for entry in entries] == [
        ("a.b", 1, "epr.yaml, line 2"),
        ("a.c", ["x", "y"], "epr.yaml, line 3"),
        ("d.e", "text", "epr.yaml, line 4"),
        ("f", {}, "epr.yaml, line 5"),
        ("g", None, "epr.yaml, line 6"),
    ]
    assert problems == []


@pytest.mark.parametrize(
    "text",
    ["a:\n  b: 1\n  b: 2", "a: {b: 1}\na.b: 2", "{a.b: 1,\n a: {b: 2}}", "a.b: 1\na.b: {c: 1}"],
)
def test_a_key_said_twice_is_refused_with_both_lines(tmp_path: Path, text: str) -> None:
    _, problems = read_yaml(_write(tmp_path, text))
    (problem,) = problems
    assert problem.key == "a.b"
    assert "says it already" in problem.wrong


def test_a_group_said_twice_is_refused(tmp_path: Path) -> None:
    entries, problems = read_yaml(_write(tmp_path, "a: {b: 1}\na: {c: 1}"))
    assert [str(problem) for problem in problems] == [
        "a (epr.yaml, line 2): expected once, but line 1 says it already"
    ]
    assert [entry.key for entry in entries] == ["a.b"]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("a: [1", "epr.yaml, line 1): expected plain YAML: "),
        ("a: 1\nb: *x", "epr.yaml, line 2): expected plain YAML: "),
        ("a: 1\n---\nb: 2", "epr.yaml, line 2): expected plain YAML: "),
        ("a: !!python/name:os.system", "epr.yaml, line 1): expected plain YAML: "),
        ("a: &x [*x]", "epr.yaml, line 1): expected a smaller or flatter file"),
        ("- a", "epr.yaml, line 1): expected `key: value` lines"),
        ("just text", "epr.yaml, line 1): expected `key: value` lines"),
        ("a: \x07", "epr.yaml): expected YAML, but it cannot be read (ReaderError)"),
        (b"a: \xff", "expected UTF-8"),
        (b"#" * (MAX_FILE_BYTES + 1), f"expected at most {MAX_FILE_BYTES} bytes"),
        ("a: " + "[" * 1000, "expected YAML, but it cannot be read (RecursionError)"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(40)), "expected a smaller or flatter file"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: str | bytes, wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml(_write(tmp_path, content))
    assert wrong in str(caught.value)


def test_aliases_of_aliases_end(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="smaller or flatter"):
        read_yaml(_write(tmp_path, "\n".join(lines)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    with pytest.raises(ConfigError) as caught:
        read_yaml(missing)
    assert str(missing) in str(caught.value)
    assert "No such file" in str(caught.value)


def test_a_key_that_is_no_text_is_refused(tmp_path: Path) -> None:
    _, problems = read_yaml(_write(tmp_path, "a:\n  ? [x]\n  : 1\n.b: 1\n"))
    assert [problem.wrong for problem in problems] == ["expected a plain key before the colon"] * 2
