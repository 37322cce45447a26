"""What a command makes of an endpoint, and the event that tells of it. Pure: no I/O, no clock.

A change that nobody could see changes nothing: the version stays, and no event goes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kaa_epr.changes.commands import (
    Command,
    DeleteKey,
    PatchMetadata,
    PutKeys,
    Register,
    ReplaceMetadata,
    SetAppVersion,
    Unregister,
)
from kaa_epr.changes.diff import MetadataDiff, diff, merged
from kaa_epr.changes.errors import EndpointUnknown, Invalid, KeyUnknown, Taken
from kaa_epr.changes.json_patch import apply_patch
from kaa_epr.changes.rules import Rules
from kaa_epr.changes.state import EndpointState
from kaa_epr.store.documents import Endpoint


@dataclass(frozen=True, slots=True)
class Registered:
    """9/ELCE registered."""

    app_version: str


@dataclass(frozen=True, slots=True)
class Unregistered:
    """9/ELCE unregistered."""

    app_version: str


@dataclass(frozen=True, slots=True)
class AppVersionUpdated:
    """9/ELCE appversion-updated."""

    app_version: str
    previous: str


@dataclass(frozen=True, slots=True)
class MetadataUpdated:
    """15/EME metadata updated."""

    app_version: str
    diff: MetadataDiff


Event = Registered | Unregistered | AppVersionUpdated | MetadataUpdated


@dataclass(frozen=True, slots=True)
class Change:
    """The state afterwards; ``event`` None: nothing changed, and the state is the one given."""

    state: EndpointState
    event: Event | None = None


def apply(state: EndpointState, command: Command, rules: Rules, now: datetime) -> Change:
    """Raises a ``Refusal`` when the command cannot be carried out on ``state``."""
    if isinstance(command, Register):
        return _register(state, command, rules, now)
    if not state.known:
        raise EndpointUnknown(state.id)
    if isinstance(command, Unregister):
        gone = EndpointState(
            state.id, version=_next(state), deleted_at=now, stored_version=state.stored_version
        )
        return Change(gone, Unregistered(state.application_version or ""))
    if isinstance(command, SetAppVersion):
        return _set_app_version(state, command, rules, now)
    return _with_metadata(state, _wanted(state.metadata, command), rules, now)


def _wanted(
    metadata: Mapping[str, Any], command: ReplaceMetadata | PatchMetadata | PutKeys | DeleteKey
) -> Mapping[str, Any]:
    """The metadata that the command asks for."""
    match command:
        case ReplaceMetadata(wanted):
            return wanted
        case PatchMetadata(operations):
            patched = apply_patch(dict(metadata), operations)
            if not isinstance(patched, dict):
                raise Invalid("patch", "what it makes of the metadata is not an object")
            return patched
        case PutKeys(values):
            return {**metadata, **values}
        case DeleteKey(gone):
            if gone not in metadata:
                raise KeyUnknown(gone)
            return {key: value for key, value in metadata.items() if key != gone}


def _next(state: EndpointState) -> int:
    return (state.version or 0) + 1


def _register(state: EndpointState, command: Register, rules: Rules, now: datetime) -> Change:
    if state.known:
        if command.task is not None and state.registration == command.task:
            return Change(state)
        raise Taken("endpointId", "an endpoint with this ID exists")
    rules.check_keys(command.metadata, command.metadata)
    rules.check_touched(command.application, command.metadata)
    registered = EndpointState(
        id=state.id,
        version=_next(state),
        application=command.application,
        application_version=command.application_version,
        endpoint_token=command.endpoint_token,
        metadata=command.metadata,
        created_at=now,
        metadata_updated_at=now,
        app_version_registered_at=now,
        registration=command.task,
        stored_version=state.stored_version,
    )
    rules.check_whole(_endpoint(registered))
    return Change(registered, Registered(command.application_version))


def _set_app_version(state: EndpointState, command: SetAppVersion, rules: Rules, now: datetime) -> Change:
    previous = state.application_version
    if (previous, state.application) == (command.application_version, command.application):
        return Change(state)
    moved = replace(
        state,
        version=_next(state),
        application=command.application,
        application_version=command.application_version,
        app_version_registered_at=now,
    )
    rules.check_whole(_endpoint(moved))
    return Change(moved, AppVersionUpdated(command.application_version, previous or ""))


def _with_metadata(state: EndpointState, wanted: Mapping[str, Any], rules: Rules, now: datetime) -> Change:
    difference = diff(state.metadata, wanted)
    if not difference:
        return Change(state)
    touched = difference.keys()
    rules.check_touched(state.application, touched)
    size = rules.check_change(wanted, touched, state.size)
    changed = replace(
        state,
        version=_next(state),
        metadata=merged(state.metadata, wanted),
        metadata_updated_at=now,
        size=size,
    )
    return Change(changed, MetadataUpdated(state.application_version or "", difference))


def _endpoint(state: EndpointState) -> Endpoint:
    return Endpoint(
        state.id, state.application, state.application_version, state.endpoint_token, state.metadata
    )
