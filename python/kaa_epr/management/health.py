"""Whether a worker can do its work, and if not, why.

A worker is *ready* when every required component is up: the link to NATS and its event subscriptions. A store
that is down only degrades it, since cached endpoints are still answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, NamedTuple

Check = Callable[[], str | None]
"""None: up. Otherwise why not, in words for people, without secrets. Quick, and never raises."""


class Phase(Enum):
    """Where in its life a worker is; only a serving one can be ready."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class _Component(NamedTuple):
    check: Check
    required: bool


@dataclass(frozen=True, slots=True)
class Report:
    """The state at one moment."""

    status: Literal["UP", "DEGRADED", "DOWN"]
    """DEGRADED still counts as ready."""
    phase: Phase
    reasons: dict[str, str | None]
    """Component to why it is not up, or None where it is."""

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return self.status != "DOWN"

    def as_json(self) -> dict[str, Any]:
        """The body of a health answer; ``status`` is spelt as Spring Boot does, which Kaa's services are."""
        components = {
            name: {"status": "UP"} if reason is None else {"status": "DOWN", "reason": reason}
            for name, reason in self.reasons.items()
        }
        return {"status": self.status, "phase": self.phase.value, "components": components}


class Health:
    """The named checks of one worker, and its phase."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self._components: dict[str, _Component] = {}

    def add(self, name: str, check: Check, *, required: bool) -> None:
        """Adds a component. Without it the worker is not ready if ``required``, else only degraded."""
        if name in self._components:
            raise ValueError(f"component {name} is there already")
        self._components[name] = _Component(check, required)

    def report(self) -> Report:
        """Asks every check."""
        reasons = {name: component.check() for name, component in self._components.items()}
        down = {name for name, reason in reasons.items() if reason is not None}
        blocking = any(self._components[name].required for name in down)
        if blocking or self.phase is not Phase.SERVING:
            return Report("DOWN", self.phase, reasons)
        return Report("DEGRADED" if down else "UP", self.phase, reasons)
