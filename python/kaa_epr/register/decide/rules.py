"""What may be stored: limits, key rules, restricted keys. Planners judge by them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

ANY_APPLICATION: Final = "*"


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of one endpoint; sizes in bytes."""

    max_keys: int = 1024
    max_key_length: int = 256
    max_depth: int = 32
    """Levels of nesting in one metadata value."""
    max_metadata_bytes: int = 1024 * 1024
    """Of the stored metadata, as BSON."""
    key_pattern: re.Pattern[str] | None = None
    restricted: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Application (or ``*``) → keys that nobody may change through the register."""
    plain_tokens: bool = True
    """Whether ``+ # / .`` are refused in endpoint tokens."""
