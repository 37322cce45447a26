"""What the kernel tells of processes (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


def rss(pid: int | None = None) -> int:
    """Resident memory in bytes; of this process if none is named."""
    pages = (PROC / str(pid or os.getpid()) / "statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def children(pid: int, command: str) -> set[int]:
    """Child processes whose command line contains ``command``."""
    found = (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()
    return {int(child) for child in found if command in _command(int(child))}


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for yet does not."""
    try:
        return "\nState:\tZ" not in (PROC / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _command(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""
