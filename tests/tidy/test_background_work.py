"""Whatever runs beside what was asked for is supervised: it must not end unnoticed."""

from __future__ import annotations

import ast
from collections import Counter
from typing import Final

from tests.tidy.tree import python, tree

BEGINS: Final = {"create_task", "ensure_future", "run_coroutine_threadsafe", "TaskGroup"}

MAY_BEGIN: Final[dict[str, tuple[int, str]]] = {
    "supervised.py": (2, "what all others use"),
    "http/connection.py": (1, "one request, with a boundary that answers whatever happens"),
    "http/listening.py": (1, "one connection until it is there, at most as many as there may be"),
    "mongo/handle.py": (1, "one operation, whose outcome its caller waits for"),
    "nats/flushing.py": (1, "a wait inside one round trip"),
    "nats/options.py": (2, "a wait for one of two, whose errors are raised"),
    "register/commit/pipeline.py": (1, "one batch, with a boundary that answers whatever happens"),
    "register/epmmp/service.py": (
        2,
        "one request, answered whatever happens, and its answer's wait",
    ),
    "run.py": (1, "a reload, with a boundary of its own"),
    "workers/parent.py": (1, "the lives of the workers, which end the parent when they end"),
}
"""File to how many tasks it begins by itself, and why they need nobody who looks after them."""


def called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_tasks_are_begun_by_the_supervisor() -> None:
    found = Counter(
        path.removeprefix("python/kaa_epr/")
        for path in python("python/kaa_epr/")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and called(node) in BEGINS
    )
    assert found == {path: count for path, (count, _) in MAY_BEGIN.items()}
