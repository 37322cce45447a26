"""Planners as tests use them: values from Python objects, one endpoint at a time, statements decoded."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import bson
import fastavro
from bson.codec_options import DatetimeConversion

from kaa_epr import schemas
from kaa_epr.messages.outgoing import EventKind, OutgoingEvent
from kaa_epr.mongo.conditional import Claim
from kaa_epr.refusals import Refusal
from kaa_epr.register.decide.api import (
    Author,
    Command,
    Items,
    Outcome,
    PlanLimits,
    Planned,
    Planner,
    Request,
    Work,
)
from kaa_epr.register.decide.pure.planner import PurePlanner
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.rust import RustPlanner
from kaa_epr.register.intake.api import Value
from kaa_epr.register.intake.pure_value import PureValue

NOW_MS = 1_777_852_800_007
AUTHOR = Author("replica-1", NOW_MS)
CLAIM = Claim("replica-1", "claim-1")
LIMITS = PlanLimits(max_event_bytes=1024 * 1024)
RULES = Rules()
_LENIENT: bson.CodecOptions[dict[str, Any]] = bson.CodecOptions(
    unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
)

PLANNERS = ("pure", "rust")


def planner(engine: str, rules: Rules = RULES) -> Planner:
    """The planner of this name."""
    return PurePlanner(rules) if engine == "pure" else RustPlanner(rules)


def brought(value: Any) -> Value:
    """A value as the intake gives it."""
    return PureValue.of_document(bson.encode({"": value}))


def items(values: Mapping[str, Any]) -> Items:
    """Keys and values, as the intake gives them."""
    return [(key, brought(value)) for key, value in values.items()]


@dataclass
class Done:
    """A plan in a form that tests can read."""

    planned: Planned
    condition: dict[str, Any] = field(default_factory=dict)
    update: dict[str, Any] = field(default_factory=dict)
    document: dict[str, Any] | None = None

    @property
    def outcomes(self) -> list[Outcome | Refusal]:
        return self.planned.outcomes

    @property
    def events(self) -> list[OutgoingEvent]:
        return list(self.planned.events)

    @property
    def metadata(self) -> dict[str, Any]:
        """Of the new document, in order."""
        assert self.document is not None
        return {item["key"]: item["value"] for item in self.document["metadata"]}

    def outcome(self) -> Outcome:
        """The only one."""
        [outcome] = self.outcomes
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome


def plan(
    engine: Planner,
    stored: bytes | Mapping[str, Any] | None,
    *asked: Command | Request,
    claim: Claim | None = CLAIM,
    limits: PlanLimits = LIMITS,
) -> Done:
    """What the planner makes of commands for the endpoint ``e``."""
    document = bson.encode(stored) if isinstance(stored, Mapping) else stored
    requests = [each if isinstance(each, Request) else Request(each, "c-1") for each in asked]
    [planned] = engine.plan([Work("e", document, requests)], AUTHOR, claim, limits)
    done = Done(planned)
    if planned.condition:
        done.condition = bson.decode(planned.condition)
        done.update = bson.decode(planned.update)
    if planned.document is not None:
        done.document = bson.decode(planned.document, _LENIENT)
    return done


NOW = datetime(2026, 5, 4, 0, 0, 0, 7000, tzinfo=UTC).replace(tzinfo=None)
REFERENCE = {"$id": 1, "$ref": "things"}
_EVENT_SCHEMAS = {
    EventKind.REGISTERED: "events/0009-ep-registered",
    EventKind.UNREGISTERED: "events/0009-ep-unregistered",
    EventKind.APP_VERSION_UPDATED: "events/0009-ep-appversion-updated",
    EventKind.METADATA_UPDATED: "events/0015-ep-metadata-updated",
}


def known(**metadata: Any) -> dict[str, Any]:
    """A document as others may have left it."""
    return {
        "_id": "e",
        "foreign": 1,
        "application": "app",
        "application_version": "app-v1",
        "endpoint_token": "t",
        "metadata": [{"key": key, "value": value} for key, value in metadata.items()],
        "version": 7,
    }


TOMBSTONE = {"_id": "e", "version": 9, "deleted_at": NOW}


def told(event: OutgoingEvent) -> dict[str, Any]:
    """What is particular about an event."""
    schema = schemas.load(_EVENT_SCHEMAS[event.kind])
    fields = fastavro.schemaless_reader(io.BytesIO(event.payload), schema, None)
    assert isinstance(fields, dict)
    assert fields.pop("correlationId") == "c-1"
    assert fields.pop("timestamp") == NOW_MS
    assert fields.pop("timeout") == 0
    assert fields.pop("endpointId") == "e"
    assert fields.pop("originatorReplicaId") == AUTHOR.replica_id
    return fields


def only_event(done: Done) -> tuple[EventKind, dict[str, Any]]:
    """The one event of a plan, which is also in the outbox."""
    [event] = done.events
    outbox = {"kind": event.kind.value, "version": event.version, "payload": event.payload}
    assert done.update["$set"]["outbox"] == [outbox]
    return event.kind, told(event)


def metadata_updated(**maps: dict[str, Any]) -> tuple[EventKind, dict[str, Any]]:
    """The event of a change of metadata."""
    empty = {"appVersionName": "app-v1", "added": {}, "removed": {}, "updated": {}}
    return EventKind.METADATA_UPDATED, empty | maps


def register(engine: Planner, metadata: dict[str, Any] | None = None, **more: Any) -> Command:
    """A registration of the application ``app``."""
    given = {"application": "app", "application_version": "app-v1", "endpoint_token": "token", **more}
    return engine.register(metadata=items(metadata or {}), **given)


def patch(engine: Planner, operations: Any) -> Command:
    """A patch of these operations."""
    return engine.patch_metadata(brought(operations))


def nested(levels: int) -> Any:
    """A value of so many arrays inside each other."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value
