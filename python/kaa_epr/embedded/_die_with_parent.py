"""Becomes a server that the kernel kills when its parent dies, kill -9 included.

A program of its own, run as ``python -I -S _die_with_parent.py PARENT_PID PROGRAM ARGUMENT...``: a
``preexec_fn`` would run Python between fork and exec, which may deadlock in a process that has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""prctl(2): survives execve, belongs to the forking thread."""


def become(parent: int, argv: list[str]) -> None:
    """Ask for SIGKILL at the parent's death, then exec ``argv``. Does not return."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != parent:  # it died before the request took hold
            sys.exit("the parent is gone")
    os.execv(argv[0], argv)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
