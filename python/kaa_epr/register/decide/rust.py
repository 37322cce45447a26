"""The planner in the core: its plain tuples made into the contract's classes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

from kaa_epr import _core
from kaa_epr.log import get_logger
from kaa_epr.messages.outgoing import EventKind, OutgoingEvent
from kaa_epr.mongo.conditional import Claim
from kaa_epr.refusals import (
    EndpointUnknown,
    InternalError,
    Invalid,
    KeyUnknown,
    PatchConflict,
    PreconditionFailed,
    Refusal,
    Restricted,
    Superseded,
    Taken,
    TooLarge,
    Unusable,
)
from kaa_epr.register.decide.api import Author, Command, Outcome, PlanLimits, Planned, Status, Work
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.view import View
from kaa_epr.register.intake.api import Value

_log = get_logger(__name__)

_KINDS: Final = {kind.value: kind for kind in EventKind}
_STATUSES: Final = tuple(Status)
_REFUSALS: Final[dict[str, Callable[..., Refusal]]] = {
    "invalid": Invalid,
    "too_large": TooLarge,
    "taken": Taken,
    "restricted": Restricted,
    "key_unknown": KeyUnknown,
    "patch_conflict": PatchConflict,
    "precondition_failed": PreconditionFailed,
    "unusable": Unusable,
    "superseded": Superseded,
}


class RustPlanner:
    """See ``kaa_epr.register.decide.api.Planner``."""

    name = "rust"
    slice_work = 300_000

    def __init__(self, rules: Rules) -> None:
        core = _core.Planner(rules, secrets.randbits(64))
        self._core = core
        self.register = core.register
        self.unregister = core.unregister
        self.set_app_version = core.set_app_version
        self.replace_metadata = core.replace_metadata
        self.put_keys = core.put_keys
        self.delete_key = core.delete_key
        self.import_endpoint = core.import_endpoint

    def patch_metadata(self, patch: Value) -> Command:
        """RFC 6902 over the metadata."""
        try:
            return self._core.patch_metadata(patch)
        except _core.Fault as fault:
            raise _refusal("", *fault.args) from None

    def check(self, command: Command) -> None:
        """What is wrong with a command by itself."""
        assert isinstance(command, _core.Command)
        refused = self._core.check(command)
        if refused is not None:
            raise _refusal("", *refused)

    def plan(
        self, work: Sequence[Work], author: Author, claim: Claim | None, limits: PlanLimits
    ) -> list[Planned]:
        """The plans of the first of ``work``."""
        plans = self._core.plan(
            work,
            replica_id=author.replica_id,
            wall_ms=author.wall_ms,
            claim=claim,
            max_event_bytes=limits.max_event_bytes,
            max_outbox=limits.max_outbox,
            max_work=limits.work,
        )
        return [_planned(each, told) for each, told in zip(work, plans, strict=False)]

    def view(self, document: bytes) -> View:
        """A stored document to be shown."""
        try:
            return _core.View(document)
        except ValueError:
            raise Unusable from None


def _planned(work: Work, told: tuple[Any, ...]) -> Planned:
    status, outcomes, condition, update, events, before, document, units = told
    return Planned(
        _STATUSES[status],
        [Outcome(*each) if len(each) == _OUTCOME else _refusal(work.endpoint_id, *each) for each in outcomes],
        condition,
        update,
        [OutgoingEvent(_KINDS[kind], version, payload, base) for kind, version, payload, base in events],
        before,
        document,
        units,
    )


_OUTCOME: Final = len(Outcome._fields)
"""A refusal has fewer parts."""


def _refusal(endpoint_id: str, kind: str, *parts: Any) -> Refusal:
    if kind == "endpoint_unknown":
        return EndpointUnknown(endpoint_id)
    if kind == "bug":
        _log.error("a change met a bug", endpoint_id=endpoint_id)
        return InternalError()
    return _REFUSALS[kind](*parts)
