"""``kaa-epr version``: what runs here."""

from __future__ import annotations

import platform
from importlib import metadata

from kaa_epr import __version__
from kaa_epr.cli.console import result
from kaa_epr.engine import choose

_SHOWN = ("nats-py", "motor", "pymongo", "fastavro", "uvloop")


def version() -> None:
    """Print the versions of kaa-epr, its engine and the libraries it stands on."""
    result(f"kaa-epr {__version__}")
    result(f"engine {_engine()}")
    result(f"python {platform.python_version()}")
    for package in _SHOWN:
        result(f"{package} {metadata.version(package)}")


def _engine() -> str:
    choice = choose("auto")
    if choice.name == "pure":
        return f"pure ({choice.reason})"
    from kaa_epr import _core

    return f"rust {_core.__version__} ({_core.build_profile})"
