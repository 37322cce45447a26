"""The indexes of our own collection: a list of specifications, made or compared at start.

Only who writes documents needs them. A responder alone asks by ``_id``, which always has an index, and must
leave a collection that is another service's as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from kaa_epr.log import get_logger
from kaa_epr.mongo.api import IndexSpec, Store
from kaa_epr.mongo.errors import IndexesRefused, StoreError

_log = get_logger(__name__)

INDEXES: Final = (
    IndexSpec(
        name="living",
        fields=("deleted_at", "_id"),
        reason="endpoints in the order of their IDs, without tombstones; their number; old tombstones",
    ),
    IndexSpec(
        name="in_application",
        fields=("application", "deleted_at", "_id"),
        reason="the same of an application",
    ),
    IndexSpec(
        name="in_version",
        fields=("application_version", "deleted_at", "_id"),
        reason="the same of an application version",
    ),
    IndexSpec(
        name="by_metadata",
        fields=("metadata.key", "metadata.value", "_id"),
        reason="endpoints with a value, {metadata: {$elemMatch: {key, value}}}, in the order of their IDs",
    ),
    IndexSpec(
        name="endpoint_token",
        fields=("application", "endpoint_token"),
        unique=True,
        partial={"endpoint_token": {"$exists": True}},
        reason="one endpoint per token and application",
    ),
    IndexSpec(
        name="outbox",
        fields=("outbox_claim.at",),
        partial={"outbox": {"$exists": True}},
        reason="the few endpoints whose events are not published yet",
    ),
)
OBSOLETE: Final = (
    IndexSpec(name="application_version", fields=("application", "application_version")),
    IndexSpec(name="metadata", fields=("metadata.key", "metadata.value")),
    IndexSpec(name="tombstones", fields=("deleted_at",), partial={"deleted_at": {"$exists": True}}),
)
"""What we made before and the ones above replace."""

_LIST_SECONDS: Final = 5.0
_UNAUTHORIZED: Final = 13
_KIND: Final = ("key", "unique", "sparse", "partialFilterExpression", "expireAfterSeconds", "collation")
"""What makes two indexes different, of what the server tells about one."""


class IndexConflict(StoreError):
    """An index is there already, but another one."""

    def __init__(self, namespace: str, name: str, there: str, wanted: str, reason: str) -> None:
        super().__init__(namespace, name, there, wanted, reason)
        self.namespace = namespace
        self.name = name
        self.there = there
        self.wanted = wanted
        self.reason = reason

    def message(self) -> str:
        """Both indexes, and what to do."""
        return (
            f"the collection {self.namespace} has an index that stands in the way of ours.\n"
            f"  there:  {self.there}\n"
            f"  wanted: {self.name}: {self.wanted} ({self.reason})\n"
            "It was not touched. Drop it if nothing needs it and start again, or use another collection."
        )


class Found(NamedTuple):
    """What there is of the indexes."""

    missing: tuple[IndexSpec, ...]
    ours: tuple[IndexSpec, ...]
    """There under our names; perhaps they are still being built."""
    obsolete: tuple[str, ...] = ()
    """Names of what we made before, and nothing needs any more once the others are there."""


async def look_for_indexes(store: Store) -> Found:
    """Compares all; makes none.

    Raises ``ForeignCollection`` where the documents are another service's, ``IndexConflict``, or what the
    store raises.
    """
    store.require_own_documents()
    present = await store.indexes(_LIST_SECONDS)
    there = [(spec, _present_as(spec, present, store.namespace)) for spec in INDEXES]
    return Found(
        tuple(spec for spec, name in there if name is None),
        tuple(spec for spec, name in there if name == spec.name),
        tuple(spec.name for spec in OBSOLETE if _is_still_ours(spec, present)),
    )


async def build_indexes(store: Store, found: Found) -> None:
    """Until those that are missing, or being built, are there; however long it takes, see ``building``.

    What they replace is dropped then. It may be called again at any time, and by several at once.
    """
    try:
        await store.build_indexes([*found.missing, *found.ours])
    except IndexesRefused as error:
        # Who may not make indexes may use those that somebody else made.
        if found.missing or error.code != _UNAUTHORIZED:
            raise
    for name in found.obsolete:
        try:
            await store.drop_index(name, _LIST_SECONDS)
        except StoreError as error:
            # It costs writes something, and no more; the next start tries again.
            _log.warning(
                "an index that nothing needs any more could not be dropped", index=name, error=str(error)
            )


async def ensure_indexes(store: Store) -> list[str]:
    """Both; returns the names of those that were missing."""
    found = await look_for_indexes(store)
    await build_indexes(store, found)
    return [spec.name for spec in found.missing]


async def has_id_index(store: Store) -> bool:
    """Whether loads find documents by an index: always with ``_id``, else only if its owner made one."""
    if store.fields.id == "_id":
        return True
    present = await store.indexes(_LIST_SECONDS)
    return any(_fields(index)[:1] == [(store.fields.id, 1)] for index in present.values())


def _present_as(spec: IndexSpec, present: Mapping[str, Mapping[str, Any]], namespace: str) -> str | None:
    """The name of the index that will do; None where there is none."""
    wanted = _as_described(spec)
    for name, index in present.items():
        there = _described(index)
        if there == wanted:
            return name
        # The server refuses a second index of that name, and one that differs in its options only.
        if name == spec.name or (there["key"] == wanted["key"] and "partialFilterExpression" not in there):
            raise IndexConflict(namespace, spec.name, f"{name}: {there}", str(wanted), spec.reason)
    return None


def _is_still_ours(spec: IndexSpec, present: Mapping[str, Mapping[str, Any]]) -> bool:
    return spec.name in present and _described(present[spec.name]) == _as_described(spec)


def _as_described(spec: IndexSpec) -> dict[str, Any]:
    described: dict[str, Any] = {"key": [(field, 1) for field in spec.fields]}
    if spec.unique:
        described["unique"] = True
    if spec.partial is not None:
        described["partialFilterExpression"] = dict(spec.partial)
    return described


def _described(index: Mapping[str, Any]) -> dict[str, Any]:
    kind = {name: index[name] for name in _KIND if index.get(name) not in (None, False)}
    kind["key"] = _fields(index)
    if "partialFilterExpression" in kind:
        kind["partialFilterExpression"] = {
            field: dict(condition) if isinstance(condition, Mapping) else condition
            for field, condition in kind["partialFilterExpression"].items()
        }
    return kind


def _fields(index: Mapping[str, Any]) -> list[tuple[str, Any]]:
    # Old servers return directions as doubles; text and hashed indexes have names there.
    return [(name, int(kind) if isinstance(kind, float) else kind) for name, kind in index["key"]]
