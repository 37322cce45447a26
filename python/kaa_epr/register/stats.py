"""What the register counts; ``metrics_table.REGISTER_TABLE`` has the names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from kaa_epr.metrics import Buckets, CountedStats

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LIMITS: Final = (
    "pending_changes",
    "pending_bytes",
    "epmmp_requests",
    "contention",
    "connections",
    "batch_tasks",
    "lists",
)
_DROPPED: Final = ("no_reply", "bad_reply", "expired")
_STEPS: Final = ("accepted", "taken", "done", "failed", "unusable")
AUTH_FAILURES: Final = ("missing", "expired", "invalid", "unknown_key", "scope", "keys_unavailable")

Labelled = Counter[tuple[str, ...]]


def _zeros(*values: str) -> Labelled:
    # A series that has not begun would hide its first step from rates.
    return Counter({(value,): 0 for value in values})


@dataclass(slots=True)
class Stats:
    """Counts since the start, and gauges."""

    outcomes: Labelled = field(default_factory=Counter)
    seconds: Buckets = field(default_factory=lambda: Buckets(SECONDS))
    pending: int = 0
    changes: int = 0
    """Document writes that were acknowledged."""
    events: int = 0
    races: int = 0
    outdated: int = 0
    """Plans of remembered documents that others had changed, or that only a read could confirm."""
    unpublished: int = 0
    republished: int = 0
    taken_over: int = 0
    outboxes: int = 0
    oldest_outbox: float = 0.0
    """In seconds."""
    unusable: int = 0
    """Documents met in lists that could not be shown as a whole, each time."""
    unreadable: int = 0
    """Events in outboxes that were none, and dropped."""
    tasks: Labelled = field(default_factory=lambda: _zeros(*_STEPS))
    refused: Labelled = field(default_factory=lambda: _zeros(*_LIMITS))
    dropped: Labelled = field(default_factory=lambda: _zeros(*_DROPPED))
    """Requests over NATS that nothing is done for."""
    token_keys: Labelled = field(default_factory=lambda: _zeros("usable", "skipped"))
    """Keys of the set that tokens are checked with."""
    auth_failures: Labelled = field(default_factory=lambda: _zeros(*AUTH_FAILURES))

    def ended(self, kind: str, outcome: str, seconds: float) -> None:
        """A change was answered; ``kind``: of its command."""
        self.outcomes[kind, outcome] += 1
        self.seconds.observe(seconds)

    def meet_unusable(self) -> None:
        """A document could not be shown as a whole."""
        self.unusable += 1

    def refuse(self, limit: str) -> None:
        """Something was refused for a limit."""
        self.refused[(limit,)] += 1

    def drop(self, reason: str) -> None:
        """Nothing is done for a request over NATS."""
        self.dropped[(reason,)] += 1

    def told(self) -> CountedStats:
        """For metrics."""
        return {
            "changes": self.outcomes,
            "change_seconds": self.seconds,
            "pending_changes": self.pending,
            "document_writes": self.changes,
            "events": self.events,
            "races": self.races,
            "outdated": self.outdated,
            "unpublished": self.unpublished,
            "republished_events": self.republished,
            "claims_taken_over": self.taken_over,
            "outboxes": self.outboxes,
            "oldest_outbox_seconds": self.oldest_outbox,
            "unusable": self.unusable,
            "unreadable_events": self.unreadable,
            "tasks": self.tasks,
            "refused": self.refused,
            "requests_dropped": self.dropped,
            "auth_failures": self.auth_failures,
            "token_keys": self.token_keys,
        }
