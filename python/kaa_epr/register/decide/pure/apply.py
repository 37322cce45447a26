"""What a command makes of an endpoint, and the events that tell of it.

A change that nobody could see changes nothing: the version stays, and no event goes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from kaa_epr.refusals import KeyUnknown, Taken
from kaa_epr.register.decide.pure import judge as judging
from kaa_epr.register.decide.pure.commands import (
    AnyCommand,
    DeleteKey,
    Import,
    PatchMetadata,
    PutKeys,
    Register,
    ReplaceMetadata,
    SetAppVersion,
    Unregister,
)
from kaa_epr.register.decide.pure.diff import MetadataDiff, diff, merged
from kaa_epr.register.decide.pure.judge import Judge
from kaa_epr.register.decide.pure.patch import Meter, patched
from kaa_epr.register.decide.pure.raw import RawValue
from kaa_epr.register.decide.pure.state import Names, State


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
    and added ones behind, it gives the new metadata as gets print it. None: it is exact against none."""


Event = Registered | Unregistered | AppVersionUpdated | MetadataUpdated


@dataclass(frozen=True, slots=True)
class Change:
    """The state afterwards; ``event`` None: nothing changed, and the state is the one given."""

    state: State
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Applier:
    """Applies commands at one moment."""

    judge: Judge
    now: int
    """Unix milliseconds."""
    meter: Meter
    """Of the work of the patch that is carried out."""

    def apply(self, state: State, command: AnyCommand) -> Iterator[Change]:
        """The changes, one on top of the other; where a ``Refusal`` is raised, those before it do not count.

        All but imports and registrations need a known endpoint.
        """
        match command:
            case Register():
                yield self._register(state, command)
            case Import():
                yield from self._import(state, command)
            case Unregister():
                yield self._unregister(state)
            case ReplaceMetadata(wanted):
                yield self._with_whole(state, wanted)
            case SetAppVersion():
                yield self._set_app_version(state, command)
            case _:
                yield self._with_metadata(state, self._wanted(state.metadata, command))

    def _register(self, state: State, command: Register) -> Change:
        if state.known:
            if command.task is not None and state.registration == command.task:
                return Change(state)
            raise Taken("endpointId", "an endpoint with this ID exists")
        return self._make(state, command.names, command.metadata, command.task)

    def _make(self, state: State, names: Names, metadata: Mapping[str, RawValue], task: str | None) -> Change:
        """An endpoint that was unknown; a tombstone's version goes on."""
        size = self.judge.metadata(metadata, metadata)
        self.judge.touched(names.application, metadata)
        judging.endpoint_id(state.id)
        self.judge.names(names, Names())
        made = State(
            state.id,
            version=state.next_version(self.now),
            names=names,
            metadata=metadata,
            metadata_bytes=size,
            created_at=self.now,
            metadata_updated_at=self.now,
            app_version_registered_at=None if names.app_version is None else self.now,
            registration=task,
            new_metadata=True,
            wiped=state.wiped,
            repaired=True,
        )
        return Change(made, Registered(names.app_version or ""))

    def _unregister(self, state: State) -> Change:
        gone = State(
            state.id,
            deleted=True,
            deleted_at=self.now,
            version=state.next_version(self.now),
            wiped=True,
            repaired=True,
        )
        return Change(gone, Unregistered(state.names.app_version or ""))

    def _import(self, state: State, command: Import) -> Iterator[Change]:
        if not state.known:
            yield self._make(state, command.names, command.metadata, None)
            return
        named = self._with_names(state, command.names)
        yield named
        yield self._with_whole(named.state, command.metadata)

    def _with_names(self, state: State, names: Names) -> Change:
        """A token has no event of its own: one of no keys tells of it."""
        if state.names == names:
            return Change(state)
        old = state.names
        self.judge.names(names, old)
        moved_app = (old.application, old.app_version) != (names.application, names.app_version)
        moved = replace(
            state,
            version=state.next_version(self.now),
            numbered=True,
            names=names,
            app_version_registered_at=self.now if moved_app else state.app_version_registered_at,
        )
        app_version = names.app_version or ""
        if moved_app:
            return Change(moved, AppVersionUpdated(app_version, old.app_version or ""))
        return Change(moved, MetadataUpdated(app_version, MetadataDiff(), _base(state)))

    def _set_app_version(self, state: State, command: SetAppVersion) -> Change:
        return self._with_names(state, Names(command.application, command.app_version, state.names.token))

    def _with_whole(self, state: State, wanted: Mapping[str, RawValue]) -> Change:
        return self._with_metadata(state, wanted, repairs=not (state.readable and state.tidy))

    def _with_metadata(
        self, state: State, wanted: Mapping[str, RawValue], *, repairs: bool = False
    ) -> Change:
        """``repairs``: gets could not be answered before, so it is a change whatever the metadata were."""
        difference = diff(state.metadata, wanted)
        if not difference and not repairs:
            return Change(state)
        touched = difference.keys()
        self.judge.touched(state.names.application, touched)
        metadata = merged(state.metadata, wanted, difference)
        size = self.judge.metadata(metadata, touched)
        changed = replace(
            state,
            version=state.next_version(self.now),
            numbered=True,
            readable=True,
            tidy=state.tidy or repairs,
            metadata=metadata,
            metadata_bytes=size,
            metadata_updated_at=self.now,
            new_metadata=True,
            repaired=state.repaired or repairs,
        )
        base = _base(state) if difference.exact and not repairs else None
        return Change(changed, MetadataUpdated(state.names.app_version or "", difference, base))

    def _wanted(
        self, metadata: Mapping[str, RawValue], command: PatchMetadata | PutKeys | DeleteKey
    ) -> Mapping[str, RawValue]:
        """The metadata that the command asks for."""
        match command:
            case PatchMetadata():
                return patched(metadata, command.operations, self.judge.rules, self.meter)
            case PutKeys(values):
                return {**metadata, **values}
            case DeleteKey(gone):
                if gone not in metadata:
                    raise KeyUnknown(gone)
                return {key: value for key, value in metadata.items() if key != gone}


def _base(state: State) -> int | None:
    return state.version if state.readable else None
