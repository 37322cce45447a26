"""The planner in Python: bson, json and fastavro."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kaa_epr.engine.pure.bson_check import DocumentError
from kaa_epr.log import get_logger
from kaa_epr.messages.outgoing import EventKind, OutgoingEvent
from kaa_epr.mongo.conditional import OUTBOX, Claim
from kaa_epr.refusals import EndpointUnknown, InternalError, KeyUnknown, Refusal, Superseded, Unusable
from kaa_epr.register.decide.api import (
    ENDPOINT_WORK,
    MAX_OUTBOX_BYTES,
    Author,
    Command,
    Items,
    OnlyAt,
    Outcome,
    PlanLimits,
    Planned,
    Request,
    Show,
    Status,
    Work,
)
from kaa_epr.register.decide.preconditions import check
from kaa_epr.register.decide.pure import commands, raw, statement
from kaa_epr.register.decide.pure.apply import Applier
from kaa_epr.register.decide.pure.commands import AnyCommand
from kaa_epr.register.decide.pure.judge import Judge
from kaa_epr.register.decide.pure.patch import Meter, parse
from kaa_epr.register.decide.pure.state import Names, State, read_state
from kaa_epr.register.decide.pure.stored import Stored, read
from kaa_epr.register.decide.pure.telling import outgoing
from kaa_epr.register.decide.pure.view import PureView, app_version_text, metadata_text
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.view import View
from kaa_epr.register.intake.api import Value

_log = get_logger(__name__)

_REQUEST_WORK = 64
_WHOLE = (commands.Register, commands.ReplaceMetadata, commands.PatchMetadata, commands.Import)
"""Commands that look at all metadata."""
_REPAIRING = (commands.Unregister, commands.ReplaceMetadata)
"""Commands, beside those that need no endpoint, that need not read what is stored."""


class PurePlanner:
    """See ``kaa_epr.register.decide.api.Planner``."""

    name = "pure"
    slice_work = 10_000

    def __init__(self, rules: Rules) -> None:
        self._judge = Judge(rules)

    # --- commands -------------------------------------------------------------------------------------------
    def register(
        self,
        application: str,
        application_version: str,
        endpoint_token: str,
        metadata: Items,
        task: str | None = None,
    ) -> Command:
        """Make the endpoint known."""
        names = Names(application, application_version, endpoint_token)
        return commands.Register(commands.metadata_of(metadata), names, task)

    def unregister(self) -> Command:
        """Forget the endpoint."""
        return commands.Unregister()

    def set_app_version(self, application: str, application_version: str) -> Command:
        """Move to another application version."""
        return commands.SetAppVersion(application, application_version)

    def replace_metadata(self, metadata: Items) -> Command:
        """All metadata at once."""
        return commands.ReplaceMetadata(commands.metadata_of(metadata))

    def patch_metadata(self, patch: Value) -> Command:
        """RFC 6902 over the metadata."""
        value = commands.raw_of(patch)
        return commands.PatchMetadata(parse(value), len(value.data))

    def put_keys(self, values: Items) -> Command:
        """Set some keys."""
        return commands.PutKeys(commands.metadata_of(values))

    def delete_key(self, key: str) -> Command:
        """Remove one key."""
        return commands.DeleteKey(key)

    def import_endpoint(
        self,
        application: str | None,
        application_version: str | None,
        endpoint_token: str | None,
        metadata: Items,
    ) -> Command:
        """Make the endpoint as it is described."""
        names = Names(application, application_version, endpoint_token)
        return commands.Import(commands.metadata_of(metadata), names)

    def check(self, command: Command) -> None:
        """What is wrong with a command by itself."""
        if isinstance(command, commands.WithMetadata):
            self._judge.metadata(command.metadata, command.metadata)
        elif isinstance(command, commands.PatchMetadata):
            for index, operation in enumerate(command.operations):
                if operation.value is not None:
                    self._judge.value(f"patch[{index}].value", operation.value)

    # --- plans ----------------------------------------------------------------------------------------------
    def plan(
        self, work: Sequence[Work], author: Author, claim: Claim | None, limits: PlanLimits
    ) -> list[Planned]:
        """The plans of the first of ``work``."""
        plans: list[Planned] = []
        spent = 0
        for each in work:
            if plans and spent >= limits.work:
                break
            planned = self._plan(each, author, claim, limits)
            spent += planned.work
            plans.append(planned)
        return plans

    def view(self, document: bytes) -> View:
        """A stored document to be shown."""
        try:
            return PureView(document)
        except DocumentError:
            raise Unusable from None

    def _plan(self, work: Work, author: Author, claim: Claim | None, limits: PlanLimits) -> Planned:
        try:
            stored = Stored() if work.document is None else read(work.document)
        except DocumentError:
            return Planned(Status.UNUSABLE, [], document=work.document)
        if claim is not None and OUTBOX in stored.fields:
            return Planned(Status.PENDING, [], document=work.document, work=stored.size)
        state = read_state(work.endpoint_id, stored)
        draft = _Draft(state, OnlyAt(state.version), work=stored.size)
        applier = Applier(self._judge, author.wall_ms, Meter())
        for request in work.requests:
            if draft.is_full(limits):
                break
            draft.take(request, applier, author, limits)
        planned = Planned(
            Status.PLANNED,
            draft.outcomes,
            events=draft.events,
            before=state.version,
            document=work.document,
            work=draft.work,
        )
        if draft.events:
            planned.condition = statement.condition(stored, draft.state, tells=claim is not None)
            planned.update = statement.update(stored, draft.state, draft.events, claim, author.wall_ms)
            planned.document = statement.new_document(stored, draft.state)
        return planned


@dataclass(slots=True)
class _Draft:
    """One endpoint's plan while its commands are carried out, one on top of the other."""

    state: State
    begun_at: OnlyAt
    work: int
    outcomes: list[Outcome | Refusal] = field(default_factory=list)
    events: list[OutgoingEvent] = field(default_factory=list)
    event_bytes: int = 0

    def is_full(self, limits: PlanLimits) -> bool:
        """Whether the next command has to wait."""
        no_room = len(self.events) >= limits.max_outbox or self.event_bytes >= MAX_OUTBOX_BYTES
        return no_room or (bool(self.outcomes) and self.work >= ENDPOINT_WORK)

    def take(self, request: Request, applier: Applier, author: Author, limits: PlanLimits) -> None:
        """Carries one command out, or notes why not."""
        command = request.command
        assert isinstance(command, AnyCommand)
        self.work += _REQUEST_WORK + command.weight
        if isinstance(command, _WHOLE):
            self.work += self.state.metadata_bytes
        applier.meter.reset()
        try:
            state, events = self._carried_out(request, command, applier, author, limits)
            created = any(event.kind is EventKind.REGISTERED for event in events)
            text = _shown(request, state)
        except Refusal as refusal:
            self.outcomes.append(refusal)
            return
        except Exception:  # noqa: BLE001 - one command's bug is nobody else's
            _log.exception("a change met a bug", endpoint_id=self.state.id, command=command.kind)
            self.outcomes.append(InternalError())
            return
        finally:
            self.work += applier.meter.spent
        self.state = state
        self.events.extend(events)
        size = sum(len(event.payload) for event in events)
        self.event_bytes += size
        self.work += size + (state.metadata_bytes if request.show is Show.METADATA else 0)
        self.outcomes.append(Outcome(bool(events), state.version, created, text))

    def _carried_out(
        self, request: Request, command: AnyCommand, applier: Applier, author: Author, limits: PlanLimits
    ) -> tuple[State, list[OutgoingEvent]]:
        state = self.state
        if not isinstance(command, commands.Register | commands.Import):
            # RFC 9110, 13.2.1: what would be answered 404 anyway is not judged by its conditions.
            if not state.known:
                raise EndpointUnknown(state.id)
            if not state.readable and not isinstance(command, _REPAIRING):
                raise Unusable
            if isinstance(command, commands.DeleteKey) and command.key not in state.metadata:
                raise KeyUnknown(command.key)
            known = request.key is None or request.key in state.metadata
            check(request.if_match, request.if_none_match, state.etag, known=known)
        events = []
        for change in applier.apply(state, command):
            state = change.state
            if change.event is not None:
                events.append(
                    outgoing(change.event, state, request.correlation_id, author, limits.max_event_bytes)
                )
        if events and request.only_at not in (None, self.begun_at):
            raise Superseded
        return state, events


def _shown(request: Request, state: State) -> bytes | None:
    match request.show:
        case Show.METADATA:
            return metadata_text(state.metadata)
        case Show.KEY:
            value = None if request.key is None else state.metadata.get(request.key)
            text = None if value is None else raw.text(value)
            return None if text is None else text.encode()
        case Show.APP_VERSION:
            return app_version_text(state)
        case _:
            return None
