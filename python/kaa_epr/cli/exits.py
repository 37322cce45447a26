"""Exit codes, which scripts may rely on; the 4xx/5xx of the protocol keep their first digit."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process ends with."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    STALE = 3
    NOT_FOUND = 4
    UNAVAILABLE = 5
    TIMEOUT = 6
