"""The directory that keeps the servers' data, used by one kaa-epr at a time.

Two locks, both released by the kernel whatever happens to the process: ``owner.lock`` is held by kaa-epr
alone, so whoever cannot take it has found a living owner; ``servers.lock`` is inherited by the servers, so
whoever takes it knows that those of an owner that was killed are gone too.
"""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final, Self

from kaa_epr.embedded.errors import DataDirInUse

ORPHANS_TIMEOUT: Final = 10.0
"""Seconds for servers that the kernel is killing, their owner being dead."""


class DataDir:
    """A context manager: inside, the directory exists and is this process's."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._locks = ExitStack()
        self.servers_lock = -1
        """The descriptor that the servers inherit."""

    def __enter__(self) -> Self:
        """Take the directory. Raises DataDirInUse, and OSError where it cannot be made or written."""
        self.path.mkdir(parents=True, exist_ok=True)
        with ExitStack() as locks:
            self._take_owner_lock(locks.enter_context((self.path / "owner.lock").open("a+")))
            servers = locks.enter_context((self.path / "servers.lock").open("a"))
            self._await_orphans(servers)
            self.servers_lock = servers.fileno()
            self._locks = locks.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._locks.close()

    def _take_owner_lock(self, lock: IO[str]) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise DataDirInUse(self.path, lock.read().strip()) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()

    def _await_orphans(self, lock: IO[str]) -> None:
        """Block until the servers of a dead owner are gone; on a thread, for flock knows no time limit."""
        taken = threading.Event()

        def take() -> None:
            fcntl.flock(lock, fcntl.LOCK_EX)
            taken.set()

        threading.Thread(target=take, name="servers-lock", daemon=True).start()
        if not taken.wait(ORPHANS_TIMEOUT):
            raise DataDirInUse(self.path, "")
