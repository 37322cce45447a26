"""What users do, and how often: weights such as ``hit=80,include=10,miss=5,unknown=4,update=1``."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

KINDS: Final = ("hit", "include", "miss", "unknown", "update")
DEFAULT: Final = "hit=80,include=10,miss=5,unknown=4,update=1"


@dataclass(frozen=True, slots=True)
class Mix:
    """Weights by kind."""

    weights: dict[str, float]

    @classmethod
    def parse(cls, text: str) -> Mix:
        """From ``kind=weight,...``; raises ValueError naming what is wrong."""
        weights = {}
        for part in filter(None, text.split(",")):
            kind, _, number = part.partition("=")
            if kind not in KINDS:
                raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
            weights[kind] = float(number)
            if not weights[kind] >= 0:
                raise ValueError(f"the weight of {kind} is negative")
        if not sum(weights.values()) > 0:
            raise ValueError("no kind has a weight above 0")
        return cls(weights)

    def draw(self, rng: random.Random) -> str:
        """One kind, by weight."""
        return rng.choices(list(self.weights), list(self.weights.values()))[0]
