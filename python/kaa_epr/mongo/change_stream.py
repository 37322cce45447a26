"""The change stream of the endpoint collection: which endpoints changed, never what they changed to.

It is read by plain commands, one answer of up to ``BATCH`` changes at a time: the drivers' own change streams
hand out one change at a time (under Motor a thread switch for each), and resume once, unseen, before they
give up. Here whoever follows the stream decides what a loss means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bson import CodecOptions, Timestamp
from bson.codec_options import DatetimeConversion
from pymongo.errors import OperationFailure, PyMongoError

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoFields, MongoSettings
from kaa_epr.log import get_logger
from kaa_epr.mongo.client import BoundedClient
from kaa_epr.mongo.errors import (
    ChangeStreamLost,
    ChangeStreamMoved,
    ChangeStreamUnsupported,
    StoreError,
)
from kaa_epr.mongo.handle import Handle

_log: Final = get_logger(__name__)

BATCH: Final = 256
"""Most changes of one answer, which the event loop takes in one piece: 0.4 ms (pure engine: 1.5 ms)."""
AWAIT_SECONDS: Final = 0.5
"""How long the server waits for a change before it answers that there was none."""
_CLOSE_SECONDS: Final = 0.5
_ONLY_ON_REPLICA_SETS: Final = 40573
_LOST: Final = {
    260: "the resume token is not valid",
    280: "the stream cannot go on",
    286: "the oplog does not reach back to where it was",
    10334: "a change is too large for the stream",
}
"""Codes after which resuming would fail again, and what they mean."""
_NOT_RESUMABLE: Final = "NonResumableChangeStreamError"
_TOLD: Final = frozenset({"insert", "update", "replace", "delete"})
"""Operations on one document. All others end the stream: the collection was dropped or renamed."""
# Nothing of a change may make its answer undecodable, or the stream would never get past it.
LENIENT: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
)

Position = Mapping[str, Any]
"""Where a stream stands: the server's resume token, opaque."""


class Change(NamedTuple):
    """One document changed."""

    endpoint_id: str | None
    """None: it is not known which (deleted, where another field than ``_id`` holds the ID)."""
    version: int | None
    """As the change left it; None: the change shows none, or the document is gone."""


class Changes(NamedTuple):
    """One answer of the server."""

    changes: tuple[Change, ...]
    position: Position
    """Behind these changes."""
    behind_seconds: int
    """How much older than the server's time the last of them is; 0 when there are none."""
    ended: bool
    """The collection was dropped or renamed: nothing comes any more."""


class Belongs(NamedTuple):
    """What a cursor of the server belongs to."""

    handle: Handle
    session: Any


class ChangeCursor:
    """An open stream. Not for use by two at a time."""

    def __init__(
        self, client: ChangeStreams, belongs: Belongs, reply: Mapping[str, Any], await_ms: int
    ) -> None:
        self._client = client
        self._belongs = belongs
        self._await_ms = await_ms
        self._id = reply["cursor"]["id"]
        self.position: Position = reply["cursor"]["postBatchResumeToken"]
        """Where the stream stands."""

    async def next(self, time_limit: float) -> Changes:
        """What changed since; comes at once when there is something, else empty after ``AWAIT_SECONDS``.

        ``time_limit`` is for the answer beyond that wait. Raises ``ChangeStreamLost``, ``ChangeStreamMoved``
        when the store has another client meanwhile, or another StoreError.
        """
        reply = await self._client.more(self._belongs, self._id, self._await_ms, time_limit)
        cursor = reply["cursor"]
        self._id = cursor["id"]
        self.position = cursor.get("postBatchResumeToken", self.position)
        events = cursor["nextBatch"]
        told = tuple(_change(event) for event in events if event["operationType"] in _TOLD)
        behind = reply["operationTime"].time - events[-1]["clusterTime"].time if events else 0
        ended = len(told) < len(events) or not self._id
        changes = tuple(change for change in told if change is not None)
        return Changes(changes, self.position, max(behind, 0), ended)

    async def close(self) -> None:
        """Ends it at the server too; a ``next`` that nobody waits for any more may wait its time there."""
        await self._client.forget(self._belongs, self._id)


class ChangeStreams(BoundedClient):
    """Opens change streams; see ``kaa_epr.mongo.api``."""

    def __init__(self, mongo: MongoSettings, store: StoreSettings) -> None:
        """As the client's."""
        super().__init__(mongo, store)
        # The socket's time limit is little more than ``store.timeout``.
        self._await_ms = max(1, round(min(AWAIT_SECONDS, store.timeout / 2) * 1000))

    async def watch(self, after: Position | None, time_limit: float) -> ChangeCursor:
        """A stream that begins at ``after``, or now."""
        return await self._bounded(
            self._open_stream(after), "open the change stream", time_limit, self._others
        )

    async def _open_stream(self, after: Position | None) -> ChangeCursor:
        session = await self._session()
        try:
            # `startAfter` also takes the token of a stream that its collection's end has ended.
            start = {"startAfter": after} if after else {"startAtOperationTime": await self._now(session)}
            command = {
                "aggregate": self._name,
                "pipeline": pipeline(start, self.fields),
                "cursor": {"batchSize": 0},
                "readConcern": {"level": "majority"},
            }
            reply = await self._database.command(command, session=session, codec_options=LENIENT)
        except OperationFailure as error:
            await session.end_session()
            if error.code == _ONLY_ON_REPLICA_SETS:
                raise ChangeStreamUnsupported from error
            if after is not None:
                # Whatever is wrong with the position, opening without one shows whether that was it.
                raise ChangeStreamLost(_reason(error)) from error
            raise
        except (PyMongoError, StoreError):
            await session.end_session()
            raise
        return ChangeCursor(self, Belongs(self._handle, session), reply, self._await_ms)

    async def _now(self, session: Any) -> Timestamp:
        """The first moment behind the latest change that the majority has.

        A stream that names no time begins at the latest that the primary has, which is later: a change
        between the two would be in no stream, and not yet in what loads return (read concern ``majority``).
        """
        command = {"find": self._name, "limit": 1, "projection": {"_id": 1}, "singleBatch": True}
        command["readConcern"] = {"level": "majority"}
        reply = await self._database.command(command, session=session, codec_options=LENIENT)
        if "operationTime" not in reply:
            raise ChangeStreamUnsupported
        latest: Timestamp = reply["operationTime"]
        return Timestamp(latest.time, latest.inc + 1)

    async def more(
        self, belongs: Belongs, cursor: int, await_ms: int, time_limit: float
    ) -> Mapping[str, Any]:
        """The next answer of an open stream."""
        if belongs.handle is not self._newest:
            raise ChangeStreamMoved
        command = {"getMore": cursor, "collection": self._name, "batchSize": BATCH, "maxTimeMS": await_ms}

        async def ask() -> Mapping[str, Any]:
            try:
                reply: Mapping[str, Any] = await self._database.command(
                    command, session=belongs.session, codec_options=LENIENT
                )
            except OperationFailure as error:
                if error.code in _LOST or error.has_error_label(_NOT_RESUMABLE):
                    raise ChangeStreamLost(_reason(error)) from error
                raise
            return reply

        seconds = await_ms / 1000 + time_limit
        return await self._bounded(ask(), "follow the change stream", seconds, self._others, belongs.handle)

    async def forget(self, belongs: Belongs, cursor: int) -> None:
        """Ends a stream at the server, as far as that can be done quickly; else its time there ends it."""

        async def kill() -> None:
            if cursor:
                await self._database.command({"killCursors": self._name, "cursors": [cursor]})
            await belongs.session.end_session()

        try:
            await self._bounded(kill(), "end the change stream", _CLOSE_SECONDS, self._others, belongs.handle)
        except StoreError as error:
            _log.debug("a change stream was not ended at the server", error=str(error))


def pipeline(start: Mapping[str, Any], fields: MongoFields) -> list[dict[str, Any]]:
    """The stages: no value leaves the server, and no change that readers of endpoints cannot see.

    The register empties outboxes by updates of their own, which touch none of the fields that are read.
    """
    own_id = fields.id == "_id"
    stream = {**start} if own_id else {**start, "fullDocument": "updateLookup"}
    touched = {"$setIntersection": [_touched_fields(), {"$literal": _read_fields(fields)}]}
    shown: dict[str, Any] = {
        "operationType": 1,
        "clusterTime": 1,
        "id": "$documentKey._id" if own_id else f"$fullDocument.{fields.id}",
        "version": _version_after(fields.version),
        "visible": {"$or": [{"$ne": ["$operationType", "update"]}, {"$gt": [{"$size": touched}, 0]}]},
    }
    return [{"$changeStream": stream}, {"$project": shown}, {"$match": {"visible": True}}]


def _read_fields(fields: MongoFields) -> list[str]:
    return [fields.id, fields.metadata, fields.application_version, fields.version, fields.deleted_at]


def _version_after(version: str) -> dict[str, Any]:
    """An expression: the version that an insert or an update wrote.

    A replacement or an update without one comes from somebody who keeps no versions, or sets them back.
    """
    branches = [
        {
            "case": {"$eq": ["$operationType", "update"]},
            "then": f"$updateDescription.updatedFields.{version}",
        },
        {"case": {"$eq": ["$operationType", "insert"]}, "then": f"$fullDocument.{version}"},
    ]
    return {"$switch": {"branches": branches, "default": None}}


def _touched_fields() -> dict[str, Any]:
    """An expression: the top-level fields that an update wrote or removed. Paths in it are dotted."""
    update = "$updateDescription"
    written = {"$objectToArray": {"$ifNull": [f"{update}.updatedFields", {}]}}
    paths = {
        "$concatArrays": [
            {"$map": {"input": written, "in": "$$this.k"}},
            {"$ifNull": [f"{update}.removedFields", []]},
            {"$map": {"input": {"$ifNull": [f"{update}.truncatedArrays", []]}, "in": "$$this.field"}},
        ]
    }
    return {"$map": {"input": paths, "in": {"$arrayElemAt": [{"$split": ["$$this", "."]}, 0]}}}


def _change(event: Mapping[str, Any]) -> Change | None:
    """None for a document whose ID is no endpoint's, since it is not text."""
    endpoint_id = event.get("id")
    if not isinstance(endpoint_id, str | None):
        return None
    return Change(endpoint_id, version_of(event.get("version")))


def version_of(stored: Any) -> int | None:
    """A version as the engines read it: an integer of either size, or none."""
    return int(stored) if isinstance(stored, int) and not isinstance(stored, bool) else None


def _reason(error: OperationFailure) -> str:
    code_name = (error.details or {}).get("codeName", "no code name")
    return _LOST.get(error.code or 0, f"the server refused to go on with {code_name} (code {error.code})")
