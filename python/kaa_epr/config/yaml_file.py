"""One YAML file as entries: each leaf with the line it stands on.

Read with PyYAML's safe loader, which builds plain values only. Keys may be nested or dotted
(``nats.urls: …``, as Spring's files allow); a key said twice is refused, however it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from kaa_epr.config.problems import ConfigError, Entry, Problem

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""A configuration with thousands of applications is some hundred kB."""
_MAX_NODES: Final = 200_000
"""Nodes after aliases are followed: ends a file of aliases of aliases."""
_MAX_DEPTH: Final = 32


class _Walk:
    """Flattens one document."""

    def __init__(self, name: str, loader: yaml.SafeLoader) -> None:
        self._name = name
        self._loader = loader
        self._nodes = 0
        self._marks: dict[tuple[str, ...], yaml.Mark] = {}
        self.problems: list[Problem] = []

    def origin(self, node: yaml.Node) -> str:
        return f"{self._name}, line {node.start_mark.line + 1}"

    def entries(self, node: yaml.Node, path: tuple[str, ...]) -> Iterator[Entry]:
        self._bound(node, path)
        if isinstance(node, yaml.MappingNode) and node.value:
            for key_node, value_node in node.value:
                below = self._below(path, key_node)
                if below is not None:
                    yield from self.entries(value_node, below)
        else:
            yield Entry(path, self._value(node, path), self.origin(node))

    def _below(self, path: tuple[str, ...], key_node: yaml.Node) -> tuple[str, ...] | None:
        key = key_node.value
        if not isinstance(key_node, yaml.ScalarNode) or not all(str(key).split(".")):
            self._refuse(path, key_node, "expected a plain key before the colon")
            return None
        below = (*path, *str(key).split("."))
        first = self._marks.setdefault(below, key_node.start_mark)
        if first is not key_node.start_mark:
            self._refuse(below, key_node, f"expected once, but line {first.line + 1} says it already")
            return None
        return below

    def _value(self, node: yaml.Node, path: tuple[str, ...]) -> object:
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, "-")) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return {}
        try:
            return self._loader.construct_object(node)
        except (ValueError, OverflowError):
            # A date that is none, a number of thousands of digits.
            self._refuse(path, node, "expected a plain value")
            return None

    def _item(self, node: yaml.Node, path: tuple[str, ...]) -> object:
        self._bound(node, path)
        if isinstance(node, yaml.MappingNode):
            return {str(key.value): self._item(value, (*path, "-")) for key, value in node.value}
        return self._value(node, path)

    def _bound(self, node: yaml.Node, path: tuple[str, ...]) -> None:
        self._nodes += 1
        if self._nodes > _MAX_NODES or len(path) > _MAX_DEPTH:
            problem = Problem(None, None, self.origin(node), "expected a smaller or flatter file")
            raise ConfigError([problem])

    def _refuse(self, path: tuple[str, ...], node: yaml.Node, wrong: str) -> None:
        self.problems.append(Problem(".".join(path) or None, None, self.origin(node), wrong))


def read_yaml(path: Path) -> tuple[list[Entry], list[Problem]]:
    """The entries of the file, and the problems that leave the rest of it readable.

    Raises ConfigError where nothing of it can be read.
    """
    text = _read(path)
    try:
        return _parse(path.name, text)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_marked(path.name, error)]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        wrong = f"expected YAML, but it cannot be read ({type(error).__name__})"
        raise ConfigError([Problem(None, None, path.name, wrong)]) from None


def _parse(name: str, text: str) -> tuple[list[Entry], list[Problem]]:
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return [], []
        walk = _Walk(name, loader)
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError([Problem(None, None, walk.origin(root), "expected `key: value` lines")])
        return (list(walk.entries(root, ())) if root.value else []), walk.problems
    finally:
        loader.dispose()


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            wrong = f"expected at most {MAX_FILE_BYTES} bytes"
        else:
            return data.decode("utf-8-sig")
    except OSError as error:
        wrong = f"expected a readable file ({error.strerror})"
    except UnicodeDecodeError:
        wrong = "expected UTF-8"
    raise ConfigError([Problem(None, None, str(path), wrong)])


def _marked(name: str, error: yaml.MarkedYAMLError) -> Problem:
    # `problem` is PyYAML's own wording and names a character at most; `context` and the mark's snippet quote
    # the file, which may hold secrets.
    mark = error.problem_mark or error.context_mark
    where = f"{name}, line {mark.line + 1}" if mark else name
    return Problem(None, None, where, f"expected plain YAML: {error.problem or 'it cannot be read'}")
