"""What the driver asks of the collection of endpoints, counted where it sends its commands."""

from __future__ import annotations

from collections import Counter

from pymongo import monitoring


class StoreCommands(monitoring.CommandListener):
    """Commands on one collection, by name; the driver keeps listeners for ever, so this one can be deaf."""

    def __init__(self) -> None:
        self._database = ""
        self.seen: Counter[str] = Counter()
        self.statements: Counter[str] = Counter()

    def watch(self, database: str) -> None:
        """Counts anew, in ``database`` only."""
        self._database = database
        self.seen.clear()
        self.statements.clear()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        command = event.command
        name = event.command_name
        if event.database_name != self._database or command.get(name) != "endpoints":
            return
        if name == "find" and "$in" not in str(command.get("filter", {}).get("_id", "")):
            return  # the sweeper's look for outboxes
        if name == "aggregate":
            return  # its count of them, for metrics
        if any(update["q"].get("outbox") == {"$exists": True} for update in command.get("updates", ())):
            return  # its attempt to take one over that a batch cleared meanwhile
        self.seen[name] += 1
        self.statements[name] += len(command.get("updates", ())) or 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Not asked for."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Not asked for."""


COMMANDS = StoreCommands()
monitoring.register(COMMANDS)
