"""The indexes of our own collection: a list of specifications, made or compared at start, never changed.

Only who writes documents needs them. A responder alone asks by ``_id``, which always has an index, and must
leave a collection that is another service's as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kaa_epr.mongo.api import IndexSpec, Store
from kaa_epr.mongo.errors import StoreError

INDEXES: Final = (
    IndexSpec(
        name="application_version",
        fields=("application", "application_version"),
        reason="endpoints of an application or application version",
    ),
    IndexSpec(
        name="metadata",
        fields=("metadata.key", "metadata.value"),
        reason="endpoint filters: {metadata: {$elemMatch: {key, value}}}, for every key",
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
    IndexSpec(
        name="tombstones",
        fields=("deleted_at",),
        partial={"deleted_at": {"$exists": True}},
        reason="unregistered endpoints, the oldest first, to be forgotten",
    ),
)

CREATE_SECONDS: Final = 600.0
"""Longest time for all that are missing: building them over millions of documents takes minutes."""
_LIST_SECONDS: Final = 10.0
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


async def ensure_indexes(store: Store) -> list[str]:
    """Makes the indexes that are missing; returns their names.

    All are compared before the first is made. Raises ``ForeignCollection`` where the documents are another
    service's, ``IndexConflict``, or what the store raises.
    """
    store.require_own_documents()
    present = await store.indexes(_LIST_SECONDS)
    missing = [spec for spec in INDEXES if not _is_present(spec, present, store.namespace)]
    if missing:
        await store.create_indexes(missing, CREATE_SECONDS)
    return [spec.name for spec in missing]


async def has_id_index(store: Store) -> bool:
    """Whether loads find documents by an index: always with ``_id``, else only if its owner made one."""
    if store.fields.id == "_id":
        return True
    present = await store.indexes(_LIST_SECONDS)
    return any(_fields(index)[:1] == [(store.fields.id, 1)] for index in present.values())


def _is_present(spec: IndexSpec, present: Mapping[str, Mapping[str, Any]], namespace: str) -> bool:
    wanted = _as_described(spec)
    for name, index in present.items():
        there = _described(index)
        if there == wanted:
            return True
        # The server refuses a second index of that name, and one that differs in its options only.
        if name == spec.name or (there["key"] == wanted["key"] and "partialFilterExpression" not in there):
            raise IndexConflict(namespace, spec.name, f"{name}: {there}", str(wanted), spec.reason)
    return False


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
