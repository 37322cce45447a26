"""From what is stored and what shall be to the store's conditional write, and the document that it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kaa_epr.engine.pure.bson_check import Type
from kaa_epr.messages.outgoing import OutgoingEvent
from kaa_epr.mongo.conditional import CLAIM, OUTBOX, Claim
from kaa_epr.register.decide.pure import raw
from kaa_epr.register.decide.pure.raw import RawValue
from kaa_epr.register.decide.pure.state import State
from kaa_epr.register.decide.pure.stored import FIELDS, OWN, Stored

_CANNOT_INSERT = raw.nested([("_id", raw.NULL)])
"""In ``$setOnInsert``: an insertion would change the ``_id`` that the condition names, which is refused."""
_NO_VERSION = raw.int64(-1)
"""Of no document; the condition of an insertion must match nothing."""
_CLAIMED_AT = raw.nested([(f"{CLAIM}.at", raw.boolean(True))])
"""The server's clock, not ours: replicas' clocks may differ."""
_MISSING = raw.nested([("$exists", raw.boolean(False))])
_COMPARED_AS_IS = frozenset({Type.INT32, Type.INT64, Type.DOUBLE, Type.NULL})


def condition(stored: Stored, state: State, *, tells: bool) -> bytes:
    """What the document must be like still; ``tells``: the write puts events into the outbox."""
    pairs = [("_id", raw.string(state.id)), ("version", _version_condition(stored))]
    if stored.exists and tells:
        pairs.append((OUTBOX, _MISSING))
    return raw.document(pairs)


def _version_condition(stored: Stored) -> RawValue:
    """As it is stored. What is no number could be taken for a pattern or an operator."""
    if not stored.exists:
        return _NO_VERSION
    found = stored.fields.get("version")
    if found is None:
        return raw.NULL
    if found.value.kind in _COMPARED_AS_IS:
        return found.value
    if found.value.kind == Type.UNDEFINED:
        return raw.nested([("$type", raw.int32(Type.UNDEFINED))])
    return raw.nested([("$eq", found.value)])


def update(
    stored: Stored, state: State, events: Sequence[OutgoingEvent], claim: Claim | None, now_ms: int
) -> bytes:
    """Operators; without a claim nothing but the fields. ``now_ms``: see ``_whole_claim``."""
    changes = [*changed_fields(stored, state).items()]
    gone = removed_fields(stored, state)
    operators: list[tuple[str, RawValue]] = []
    if claim is not None:
        changes.append((OUTBOX, raw.array(map(_outbox_item, events))))
        if stored.has_broken_claim:
            changes.append((CLAIM, _whole_claim(claim, now_ms)))
        else:
            changes.append((f"{CLAIM}.by", raw.string(claim.owner)))
            changes.append((f"{CLAIM}.id", raw.string(claim.id)))
            operators.append(("$currentDate", _CLAIMED_AT))
    if gone:
        operators.append(("$unset", raw.nested((name, raw.string("")) for name in gone)))
    if stored.exists:
        operators.append(("$setOnInsert", _CANNOT_INSERT))
    return raw.document([("$set", raw.nested(changes)), *operators])


def _whole_claim(claim: Claim, now_ms: int) -> RawValue:
    """Where what is stored in its place is no document.

    Nothing can be set below that, the server's clock neither, and no operator puts that clock into a document
    that is set whole. The author's must do, in Unix milliseconds: this repairs what others put there.
    """
    return raw.nested(
        [("by", raw.string(claim.owner)), ("id", raw.string(claim.id)), ("at", raw.date(now_ms))]
    )


def _outbox_item(event: OutgoingEvent) -> RawValue:
    return raw.nested(
        [
            ("kind", raw.string(event.kind.value)),
            ("version", raw.int64(event.version)),
            ("payload", raw.binary(event.payload)),
        ]
    )


def metadata_value(metadata: Mapping[str, RawValue]) -> RawValue:
    """As it is stored."""
    return raw.array(
        raw.nested([("key", raw.string(key)), ("value", value)]) for key, value in metadata.items()
    )


def changed_fields(stored: Stored, state: State) -> dict[str, RawValue]:
    """``$set``."""
    old, new = _described(stored), _wanted(state)
    changes = {"version": raw.int64(state.version or 0)}
    if state.deleted_at is not None:
        changes["deleted_at"] = raw.date(state.deleted_at)
    for name in FIELDS:
        after = new.get(name)
        if name == "metadata":
            if state.new_metadata and not state.deleted:
                changes[name] = metadata_value(state.metadata)
        elif after is not None and after != old.get(name):
            changes[name] = raw.string(after) if isinstance(after, str) else raw.date(after)
    return changes


def removed_fields(stored: Stored, state: State) -> list[str]:
    """``$unset``."""
    old, new = _described(stored), _wanted(state)
    gone = []
    for name in FIELDS:
        if name == "deleted_at" and state.deleted:
            continue
        if name == "metadata" and not state.deleted:
            continue
        unreadable = stored.present(name) is not None and name not in old
        if name not in new and (name in old or (unreadable and state.repaired)):
            gone.append(name)
    for name, each in stored.fields.items():
        if name in FIELDS or name in OWN or not _can_be_named(name):
            continue
        if state.wiped or (state.repaired and not each.sound):
            gone.append(name)
    return gone


def _can_be_named(name: str) -> bool:
    """Whether a path means this field and no other."""
    return bool(name) and "." not in name and not name.startswith("$")


def _described(stored: Stored) -> dict[str, str | int]:
    """Fields that are stored and can be read; metadata and the mark of a tombstone as 0."""
    found: dict[str, str | int | None] = {
        name: stored.text(name) if name in _TEXTS else stored.date(name) for name in FIELDS
    }
    for name in ("deleted_at", "metadata"):
        found[name] = None if stored.present(name) is None else 0
    return {name: value for name, value in found.items() if value is not None}


def _wanted(state: State) -> dict[str, str | int]:
    """The same of what shall be; metadata are looked at separately."""
    if not state.known:
        return {}
    found: dict[str, str | int | None] = {
        "application": state.names.application,
        "application_version": state.names.app_version,
        "endpoint_token": state.names.token,
        "created_at": state.created_at,
        "metadata_updated_at": state.metadata_updated_at,
        "app_version_registered_at": state.app_version_registered_at,
        "registration": state.registration,
    }
    return {name: value for name, value in found.items() if value is not None}


_TEXTS = frozenset({"application", "application_version", "endpoint_token", "registration"})


def new_document(stored: Stored, state: State) -> bytes:
    """The document once it is written and its outbox cleared, as MongoDB lays it out.

    What stays keeps its place, what is new comes behind it in the order of names (MongoDB 5.0 and later); of
    an inserted one ``_id`` and ``version`` come first, since the condition names them.
    """
    changes = changed_fields(stored, state)
    gone = {*removed_fields(stored, state), OUTBOX, CLAIM}
    kept = {name: each.value for name, each in stored.fields.items() if name not in gone}
    if not stored.exists:
        kept = {"_id": raw.string(state.id), "version": changes["version"]}
    new = {name: changes[name] for name in sorted(changes, key=str.encode) if name not in kept}
    return raw.document([*((name, changes.get(name, value)) for name, value in kept.items()), *new.items()])
