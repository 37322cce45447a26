"""The client's limits and its retry policy."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

MAX_SECONDS: Final = 86_400
"""A day: far beyond what waiting for an answer is good for, far within the message's ``long``."""


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Choices that seldom need another value. Times in seconds."""

    revision: Literal[1, 2, 3] = 3
    """Of the get messages. 1 and 2 send the same bytes and differ in the answer they expect; neither has
    ``include_metadata`` or application versions, and 1 has no eTag."""
    max_in_flight: int = 1024
    """Gets at a time; one more raises ``TooManyRequests``."""
    attempt_timeout: float | None = None
    """How long one attempt waits before the next is made. None: an equal share of the time left."""
    backoff: float = 0.1
    """The pause after the first failed attempt is random between 0 and this, and the bound doubles with each
    further failure (full jitter) up to ``backoff_max``."""
    backoff_max: float = 1.0
    retry_unavailable: bool = True
    """Whether a 503 is worth another attempt; otherwise it ends the get at once."""
    connect: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Further arguments of ``nats.connect`` (user, password, tls, ...) for a connection of the client's own.
    May hold secrets, therefore never printed."""

    def __post_init__(self) -> None:
        """Raise ValueError for a value out of range."""
        if self.revision not in {1, 2, 3}:
            raise ValueError(f"revision must be 1, 2 or 3, not {self.revision!r}")
        if self.max_in_flight < 1:
            raise ValueError(f"max_in_flight must be at least 1, not {self.max_in_flight!r}")
        if self.attempt_timeout is not None:
            check_seconds("attempt_timeout", self.attempt_timeout)
        check_seconds("backoff", self.backoff)
        check_seconds("backoff_max", self.backoff_max)

    def pause(self, failures: int) -> float:
        """Seconds to wait after ``failures`` (at least 1) failed attempts: full jitter."""
        # The exponent is bounded because a float overflows beyond 2.0**1023.
        bound = min(self.backoff_max, self.backoff * 2.0 ** min(failures - 1, 64))
        return random.uniform(0.0, bound)  # noqa: S311 - spreads load, guards nothing

    def patience(self, remaining: float, attempts_left: int) -> float:
        """Seconds of ``remaining`` that an attempt waits: all for the last one (``attempts_left`` 1)."""
        if attempts_left <= 1:
            return remaining
        if self.attempt_timeout is not None:
            return min(self.attempt_timeout, remaining)
        return remaining / attempts_left


def check_seconds(name: str, value: float) -> float:
    """Returns ``value``; ValueError unless it is above 0 and at most ``MAX_SECONDS``, which NaN is not."""
    if not 0 < value <= MAX_SECONDS:
        raise ValueError(f"{name} must be above 0 and at most {MAX_SECONDS} seconds, not {value!r}")
    return value
