"""What a command makes of an endpoint, and the event that tells of it. Pure: no I/O, no clock.

A change that nobody could see changes nothing: the version stays, and no event goes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kaa_epr.mongo.documents import Endpoint
from kaa_epr.refusals import EndpointUnknown, Invalid, KeyUnknown, Taken
from kaa_epr.register.decide.diff import MetadataDiff, diff, merged
from kaa_epr.register.decide.json_patch import apply_patch
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.state import EndpointState
from kaa_epr.register.intake.commands import (
    Command,
    DeleteKey,
    Import,
    PatchMetadata,
    PutKeys,
    Register,
    ReplaceMetadata,
    SetAppVersion,
    SingleCommand,
    Unregister,
)


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
    base: int | None
    """The version that ``diff`` is exact against: carried out on its metadata, keys that stay in their places
    and added ones behind, it gives the new metadata as gets print it. None: there was no version."""


Event = Registered | Unregistered | AppVersionUpdated | MetadataUpdated


@dataclass(frozen=True, slots=True)
class Change:
    """The state afterwards; ``event`` None: nothing changed, and the state is the one given."""

    state: EndpointState
    event: Event | None = None


def apply_all(state: EndpointState, command: Command, rules: Rules, now: datetime) -> list[Change]:
    """The changes that a command makes, one on top of the other: all of them, or it is refused as a whole."""
    if isinstance(command, Import):
        return _import(state, command.endpoint, rules, now)
    return [apply(state, command, rules, now)]


def apply(state: EndpointState, command: SingleCommand, rules: Rules, now: datetime) -> Change:
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
    endpoint = Endpoint(
        state.id,
        command.application,
        command.application_version,
        command.endpoint_token,
        command.metadata,
    )
    return _make(state, endpoint, command.task, rules, now)


def _make(state: EndpointState, endpoint: Endpoint, task: str | None, rules: Rules, now: datetime) -> Change:
    """An endpoint that was unknown; a tombstone's version goes on."""
    rules.check_keys(endpoint.metadata, endpoint.metadata)
    rules.check_touched(endpoint.application, endpoint.metadata)
    rules.check_whole(endpoint)
    registered = EndpointState(
        id=state.id,
        exists=True,
        version=_next(state),
        application=endpoint.application,
        application_version=endpoint.application_version,
        endpoint_token=endpoint.endpoint_token,
        metadata=endpoint.metadata,
        created_at=now,
        metadata_updated_at=now,
        app_version_registered_at=None if endpoint.application_version is None else now,
        registration=task,
        stored_version=state.stored_version,
    )
    return Change(registered, Registered(endpoint.application_version or ""))


def _import(state: EndpointState, endpoint: Endpoint, rules: Rules, now: datetime) -> list[Change]:
    if not state.known:
        return [_make(state, endpoint, None, rules, now)]
    named = _with_names(state, endpoint, rules, now)
    return [named, _with_metadata(named.state, endpoint.metadata, rules, now)]


def _with_names(state: EndpointState, endpoint: Endpoint, rules: Rules, now: datetime) -> Change:
    """Application, its version and token. A token has no event of its own: one of no keys tells of it."""
    old = (state.application_version, state.application)
    new = (endpoint.application_version, endpoint.application)
    if old == new and state.endpoint_token == endpoint.endpoint_token:
        return Change(state)
    moved = replace(
        state,
        version=_next(state),
        application=endpoint.application,
        application_version=endpoint.application_version,
        endpoint_token=endpoint.endpoint_token,
        app_version_registered_at=state.app_version_registered_at if old == new else now,
    )
    rules.check_whole(_endpoint(moved))
    app_version = endpoint.application_version or ""
    if old == new:
        return Change(moved, MetadataUpdated(app_version, MetadataDiff({}, {}, {}), state.version))
    return Change(moved, AppVersionUpdated(app_version, state.application_version or ""))


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
        metadata=merged(state.metadata, wanted, difference),
        metadata_updated_at=now,
        size=size,
    )
    return Change(changed, MetadataUpdated(state.application_version or "", difference, state.version))


def _endpoint(state: EndpointState) -> Endpoint:
    return Endpoint(
        state.id, state.application, state.application_version, state.endpoint_token, state.metadata
    )
