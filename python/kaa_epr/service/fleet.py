"""The workers of one parent, as each of them is told of all."""

from __future__ import annotations

from dataclasses import dataclass

from kaa_epr.metrics import CountedStats


@dataclass(frozen=True, slots=True)
class Fleet:
    """Of one process that runs alone it says that nothing is wrong."""

    wanted: int = 1
    serving: int = 1
    restarts: int = 0
    """Times a worker was started again."""
    missing: tuple[int, ...] = ()
    """Numbers of those that do not serve."""

    @property
    def problem(self) -> str | None:
        """For health."""
        if not self.missing:
            return None
        return f"not serving: worker {', '.join(map(str, self.missing))} of {self.wanted}"

    def numbers(self) -> CountedStats:
        """For metrics."""
        return {
            "workers": {("wanted",): self.wanted, ("serving",): self.serving},
            "worker_restarts": self.restarts,
        }
