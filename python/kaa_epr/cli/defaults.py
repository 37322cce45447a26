"""Defaults that depend on the machine."""

from __future__ import annotations

import os
from pathlib import Path


def default_data_dir() -> Path:
    """Where embedded servers keep their data (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(home) / "kaa-epr"
