"""What the figures were measured on and with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from bench.generator import ROOT

PACKAGES: Final = ("nats-py", "fastavro", "cachetools", "motor", "pymongo", "uvloop", "natsrpy")
TOOLS: Final = {"rustc": ["rustc", "--version"], "go": ["go", "version"], "cc": ["cc", "--version"]}


def machine() -> dict[str, Any]:
    """Processor, cores, memory, kernel."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model[1] if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "load_average": os.getloadavg()[0],
    }


def versions() -> dict[str, str]:
    """Of Python, its packages and the compilers; what is not there is left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    for name, command in TOOLS.items():
        if (text := _output(command)) is not None:
            number = re.search(r"\d+\.\d+(\.\d+)?", text)
            found[name] = number[0] if number else text
    return found


def commit() -> str:
    """The revision measured, with ``+`` where files differ from it."""
    revision = _output(["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]) or "unknown"
    changed = _output(["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"])
    return f"{revision}+" if changed else revision


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
