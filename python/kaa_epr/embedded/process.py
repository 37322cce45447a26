"""One server as a child process: started, listened to, stopped, and never left behind.

What the server prints goes through a pipe: a thread copies it to the log file, keeps the last lines, and
wakes whoever waits for a line, so that readiness needs neither polling nor sleeping.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final, Self

from kaa_epr.embedded.errors import LibraryMissing, ServerFailed

LAUNCHER: Final = Path(__file__).with_name("_die_with_parent.py")
TAIL_LINES: Final = 400
"""Lines kept in memory: more than any server prints until it is ready."""
ERROR_LINES: Final = 8
MAX_LOG_BYTES: Final = 16 * 1024 * 1024
"""A log file that reaches this is renamed to ``*.1`` and begun anew."""
COMPLAINT: Final = re.compile(r'"s":"[EF]"|\[(ERR|FTL)\]|^nats-server: ')
"""Errors and fatal errors in the logs of mongod and nats-server."""
MISSING_LIBRARY: Final = re.compile(r"loading shared libraries: (\S+): cannot open")


class ServerProcess:
    """A child process with a log. Not thread-safe, but for the reader thread that it owns.

    Start it on a thread that lives as long as the server shall: the kernel kills the child when the *thread*
    that forked it ends (prctl(2), PR_SET_PDEATHSIG).
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        log_file: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """``env`` replaces the environment; None: ours."""
        self.name = name
        self.argv = [str(part) for part in argv]
        self.log_file = log_file
        self._env = env
        self._popen: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._heard = threading.Condition()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._ended = False

    @property
    def pid(self) -> int:
        """The server's process id (the launcher becomes the server)."""
        assert self._popen is not None
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._popen is not None and self._popen.poll() is None

    def start(self, keep_open: Sequence[int] = ()) -> None:
        """Start it, with descriptors ``keep_open`` inherited. Raises OSError if it cannot be forked."""
        assert not self.running
        self._tail.clear()
        self._ended = False
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        # A session of its own: Ctrl-C in the terminal is for kaa-epr, which then stops its servers in order.
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), *self.argv],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=keep_open,
        )
        assert self._popen.stdout is not None
        self._reader = threading.Thread(
            target=self._read, args=(self._popen.stdout,), name=f"{self.name}-log", daemon=True
        )
        self._reader.start()

    def wait_for(self, pattern: re.Pattern[str], timeout: float) -> re.Match[str]:
        """The first match in a line printed since the start, waiting up to ``timeout`` seconds for it.

        Raises ServerFailed if the server ends or the time is up before, LibraryMissing if that is why.
        """
        deadline = time.monotonic() + timeout
        with self._heard:
            while True:
                for line in self._tail:
                    if match := pattern.search(line):
                        return match
                if self._ended:
                    raise self._failure("ended before it was ready")
                if not self._heard.wait(max(0.0, deadline - time.monotonic())):
                    raise self._failure(f"was not ready after {timeout:g} seconds")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if the process has ended."""
        assert self._popen is not None
        self._popen.send_signal(number)

    def stop(self, timeout: float = 15.0) -> None:
        """SIGTERM, wait, SIGKILL after ``timeout`` seconds as the last resort; no-op when not running."""
        if self._popen is None:
            return
        self._popen.terminate()
        self._popen.send_signal(signal.SIGCONT)  # one that was stopped would not hear the first
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self._popen.kill()
        self._reap()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._popen is not None:
            self._popen.kill()
            self._reap()

    def forget(self) -> None:
        """Wait only for what is printed from now on."""
        with self._heard:
            self._tail.clear()

    def wait(self) -> int:
        """Wait for its end, as long as that takes; the exit status, negative for a signal."""
        return self._reap()

    def lines(self) -> list[str]:
        """The last lines it printed."""
        with self._heard:
            return list(self._tail)

    def printed(self, pattern: re.Pattern[str]) -> bool:
        """Whether one of the last lines matches."""
        return any(pattern.search(line) for line in self.lines())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _reap(self) -> int:
        assert self._popen is not None
        assert self._reader is not None
        status = self._popen.wait()
        self._reader.join()
        self._popen = None
        return status

    def _failure(self, reason: str) -> ServerFailed | LibraryMissing:
        tail = tuple(self._tail)
        for line in tail:
            if match := MISSING_LIBRARY.search(line):
                return LibraryMissing(self.name, match[1])
        complaints = tuple(line for line in tail if COMPLAINT.search(line))
        return ServerFailed(self.name, reason, (complaints or tail)[-ERROR_LINES:], self.log_file)

    def _read(self, pipe: IO[bytes]) -> None:
        """The reader thread: until the server closes its end, that is until it ended."""
        log = self.log_file.open("ab")
        with pipe:
            for raw in pipe:
                log.write(raw)
                log.flush()
                if log.tell() > MAX_LOG_BYTES:
                    log.close()
                    self.log_file.replace(self.log_file.with_suffix(".log.1"))
                    log = self.log_file.open("ab")
                with self._heard:
                    self._tail.append(raw.decode(errors="replace").rstrip())
                    self._heard.notify_all()
        log.close()
        with self._heard:
            self._ended = True
            self._heard.notify_all()
