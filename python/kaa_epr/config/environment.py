"""Environment variables and flags as entries.

``KAA_EPR__CACHE__MAX_BYTES`` is ``cache.max_bytes``. An empty variable counts as not set, as container
tools pass on what nobody set. The prefix ends in two underscores because Kubernetes sets ``KAA_EPR_PORT``
and the like by itself for a service named kaa-epr.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kaa_epr.config.names import KAA_ENVIRONMENT, LEAVES
from kaa_epr.config.problems import Entry

PREFIX: Final = "KAA_EPR__"
_FILE: Final = "_FILE"


def kaa_environment_entries(environ: Mapping[str, str]) -> Iterator[Entry]:
    """What Kaa's own variables say, files of secrets (``NATS_PASSWORD_FILE``) included."""
    for name, path in KAA_ENVIRONMENT.items():
        if environ.get(name):
            yield Entry(path, environ[name], f"environment variable {name}")
        if LEAVES[path].secret and environ.get(name + _FILE):
            file_path = (*path[:-1], f"{path[-1]}_file")
            yield Entry(file_path, environ[name + _FILE], f"environment variable {name}{_FILE}")


def environment_entries(environ: Mapping[str, str]) -> Iterator[Entry]:
    """What our own variables say."""
    for name in sorted(environ):
        if name.startswith(PREFIX) and environ[name]:
            path = tuple(name[len(PREFIX) :].lower().split("__"))
            yield Entry(path, environ[name], f"environment variable {name}")


def flag_entries(flags: Mapping[str, Any]) -> Iterator[Entry]:
    """What the command line says; a flag that is None was not given."""
    for key, value in flags.items():
        if value is not None:
            yield Entry(tuple(key.split(".")), value, f"flag {key}")
