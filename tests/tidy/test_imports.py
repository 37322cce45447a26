"""Imports point one way, as ARCHITECTURE.md says."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

import pytest

from tests.tidy.tree import imported, python

PACKAGE: Final = "python/kaa_epr/"
LEAVES: Final = {
    *{"backoff", "errors", "clock", "schemas", "redaction", "log"},
    *{"metrics_table", "slices", "supervised", "ending", "reply"},
}
"""Small modules that any part may use; they use only each other and config."""

MAY_USE: Final[dict[str, set[str]]] = {
    "engine": {"_core"},
    "config": {"engine"},
    "metrics": {"engine"},
    "refusals": set(),
    "mongo": {"config"},
    "messages": set(),
    "client": {"messages"},
    "responder": {"mongo", "engine", "nats", "messages", "config", "metrics"},
    "nats": {"engine", "messages", "config", "metrics"},
    "http": {"config", "refusals"},
    "register": {"http", "mongo", "nats", "messages", "config", "metrics", "refusals", "engine", "_core"},
    "management": {"http", "metrics", "refusals"},
    "embedded": {"mongo"},
    "observer": {"client", "nats", "mongo", "messages", "engine", "config", "metrics", "management"},
    "_core": {"engine", "register"},
}
"""Part to the parts it may import, beside itself and ``LEAVES``. Only ever take something out of a set."""
ROOTS: Final = {"service", "run", "workers", "cli", "__main__", "__init__"}
"""What may know all: the composition root, how it runs as processes, the commands."""

ONLY_IN: Final[dict[str, set[str]]] = {
    "motor": {"mongo"},
    "pymongo": {"mongo"},
    "gridfs": set(),
    "nats": {"nats", "register", "client"},
    "httptools": {"http"},
    "starlette": set(),
    "uvicorn": set(),
    "typer": {"cli"},
    "rich": {"cli"},
    "structlog": {"log"},
    "prometheus_client": {"metrics"},
    "cachetools": {"engine"},
    "uvloop": {"run"},
    "httpx": {"http"},
}
"""Library to the parts that may touch it."""


def part_of(path: str) -> str:
    return PurePath(path.removeprefix(PACKAGE)).parts[0].split(".")[0]


@pytest.mark.parametrize("path", python(PACKAGE))
def test_parts_know_only_what_they_may(path: str) -> None:
    part = part_of(path)
    if part in ROOTS:
        return
    allowed = {part} | LEAVES | ({"config"} if part in LEAVES else MAY_USE[part])
    used = {name.split(".")[1] for name in imported(path) if name.startswith("kaa_epr.")}
    assert used <= allowed


@pytest.mark.parametrize("path", python(PACKAGE))
def test_libraries_stay_in_their_parts(path: str) -> None:
    part = part_of(path)
    outside = {name.split(".")[0] for name in imported(path)}
    assert not [library for library in outside if part not in ONLY_IN.get(library, {part})]


def test_the_core_knows_no_python_and_does_no_io() -> None:
    """By what it depends on and by the standard library's modules that it names."""
    from tests.tidy.tree import rust, text

    manifest = text("rust/core/Cargo.toml").partition("[dev-dependencies]")[0]
    assert "pyo3" not in manifest
    assert "#![forbid(unsafe_code)]" in text("rust/core/src/lib.rs")
    forbidden = ("std::io", "std::net", "std::fs", "std::thread", "std::time", "std::env", "println!")
    sources = [path for path in rust() if path.startswith("rust/core/src/")]
    assert not [(path, word) for path in sources for word in forbidden if word in text(path)]
