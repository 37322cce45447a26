"""From the commands for one endpoint to the one write that carries them all out, in order. Pure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from kaa_epr.messages.outgoing import EventKind, OutgoingEvent, encode
from kaa_epr.refusals import EndpointUnknown, KeyUnknown, Refusal, TooLarge
from kaa_epr.register.decide.apply import (
    AppVersionUpdated,
    Event,
    MetadataUpdated,
    Registered,
    Unregistered,
    apply_all,
)
from kaa_epr.register.decide.preconditions import NONE, Preconditions
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.state import EndpointState
from kaa_epr.register.intake.commands import Command, DeleteKey, Import, Register

MAX_OUTBOX_BYTES: Final = 4 * 1024 * 1024
"""Of events in one outbox; with the metadata they must stay below MongoDB's 16 MiB a document."""


class Outcome(NamedTuple):
    """What came of a command."""

    state: EndpointState
    changed: bool
    created: bool = False


class OnlyAt(NamedTuple):
    """How an endpoint was when a change was first tried whose outcome is not known."""

    version: int | None
    """None: there was no document, or one without version."""


@dataclass(slots=True, eq=False)
class Item:
    """A command on its way."""

    endpoint_id: str
    command: Command
    correlation_id: str
    deadline: float
    """Of the loop's clock; a contended endpoint is not tried for longer."""
    future: asyncio.Future[Outcome]
    preconditions: Preconditions = NONE
    only_at: OnlyAt | None = None
    """Where the endpoint has another version, this may find its work done, and change nothing."""
    attempts: int = 0

    def resolve(self, outcome: Outcome | Refusal) -> None:
        """Tells whoever waits, if anybody still does."""
        if self.future.done():
            return
        if isinstance(outcome, Refusal):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


@dataclass(frozen=True, slots=True)
class Author:
    """What events say of where they come from."""

    replica_id: str
    now: datetime
    """UTC, naive, whole milliseconds: as MongoDB keeps it."""
    wall_ms: int


@dataclass(slots=True)
class Plan:
    """What is to be done for one endpoint."""

    old: EndpointState
    new: EndpointState
    events: list[OutgoingEvent] = field(default_factory=list)
    outcomes: list[tuple[Item, Outcome | Refusal]] = field(default_factory=list)
    """Each holds once the write is done: a refusal may be due to an earlier command of the same plan."""
    left: list[Item] = field(default_factory=list)
    """Commands for which the outbox has no room; they come next."""

    def settle(self) -> None:
        """Tells every command's outcome."""
        for item, outcome in self.outcomes:
            item.resolve(outcome)

    def has_success(self) -> bool:
        """Whether any command is to be acknowledged."""
        return any(isinstance(outcome, Outcome) for _, outcome in self.outcomes)

    def refuse(self, refusal: Refusal) -> None:
        """Tells every command that all came to nothing."""
        for item, _ in self.outcomes:
            item.resolve(refusal)

    def items(self) -> list[Item]:
        """The commands that were carried out in this plan."""
        return [item for item, _ in self.outcomes]


def plan(state: EndpointState, items: Sequence[Item], rules: Rules, author: Author, max_events: int) -> Plan:
    """Carries the commands out on ``state``, one on top of the other."""
    result = Plan(old=state, new=state)
    size = 0
    for position, item in enumerate(items):
        if len(result.events) >= max_events or size >= MAX_OUTBOX_BYTES:
            result.left = list(items[position:])
            break
        try:
            new, events = _carry_out(result.new, item, rules, author)
        except Refusal as refusal:
            result.outcomes.append((item, refusal))
            continue
        result.events.extend(events)
        size += sum(len(event.payload) for event in events)
        result.new = new
        created = any(event.kind is EventKind.REGISTERED for event in events)
        result.outcomes.append((item, Outcome(new, changed=bool(events), created=created)))
    return result


def _carry_out(
    state: EndpointState, item: Item, rules: Rules, author: Author
) -> tuple[EndpointState, list[OutgoingEvent]]:
    if not isinstance(item.command, Register | Import):
        # RFC 9110, 13.2.1: what would be answered 404 anyway is not judged by its conditions.
        if not state.known:
            raise EndpointUnknown(state.id)
        if isinstance(item.command, DeleteKey) and item.command.key not in state.metadata:
            raise KeyUnknown(item.command.key)
        item.preconditions.check_state(state)
    events = []
    for change in apply_all(state, item.command, rules, author.now):
        state = change.state
        if change.event is not None:
            events.append(_outgoing(change.event, state, item.correlation_id, rules, author))
    return state, events


def _outgoing(
    event: Event, state: EndpointState, correlation_id: str, rules: Rules, author: Author
) -> OutgoingEvent:
    """The event that tells how the endpoint came to ``state``."""
    kind, fields = _event_fields(event)
    payload = encode(
        kind,
        {
            "correlationId": correlation_id,
            "timestamp": author.wall_ms,
            "timeout": 0,
            "endpointId": state.id,
            "originatorReplicaId": author.replica_id,
            **fields,
        },
    )
    if len(payload) > rules.max_event_bytes:
        raise TooLarge(
            "metadata", f"the change's event takes {len(payload)} bytes, NATS takes {rules.max_event_bytes}"
        )
    base = event.base if isinstance(event, MetadataUpdated) else None
    return OutgoingEvent(kind, state.version or 0, payload, base)


def _event_fields(event: Event) -> tuple[EventKind, dict[str, object]]:
    match event:
        case Registered():
            return EventKind.REGISTERED, {"appVersionName": event.app_version}
        case Unregistered():
            return EventKind.UNREGISTERED, {"appVersionName": event.app_version}
        case AppVersionUpdated():
            names = {"appVersionName": event.app_version, "previousAppVersionName": event.previous}
            return EventKind.APP_VERSION_UPDATED, {**names}
        case MetadataUpdated():
            updated = {
                key: {"newValue": new, "oldValue": old} for key, (new, old) in event.diff.updated.items()
            }
            maps = {"added": event.diff.added, "removed": event.diff.removed, "updated": updated}
            return EventKind.METADATA_UPDATED, {"appVersionName": event.app_version, **maps}
