"""How long to wait before trying again."""

from __future__ import annotations

import random


def jittered(base: float, ceiling: float, attempt: int) -> float:
    """Seconds to wait before attempt number ``attempt`` (from 1): doubling, half of it random."""
    span = min(ceiling, base * 2.0 ** min(attempt - 1, 16))
    return span * (0.5 + random.random() / 2)  # noqa: S311 spreads replicas, guards nothing
