"""What the rest of the program asks of the store."""

from __future__ import annotations

import struct
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, UpdateOne

from kaa_epr.config.mongo import MongoFields, MongoSettings
from kaa_epr.mongo.change_stream import ChangeCursor, Position
from kaa_epr.mongo.errors import Effect, StoreError

MAX_IDS: Final = 3_500
"""Most ids of one load: so many ids of 4 KiB (the engine's ceiling) still fit into one 16 MiB command."""

_UPSERT: Final = b"\x08upsert\0\1\0"
_FRAME: Final = 4 + 3 + 3 + len(_UPSERT)
"""Bytes of a statement around its two documents."""

Write = InsertOne[RawBSONDocument] | UpdateOne


class Statement(NamedTuple):
    """One write of one document, which is to be made where nothing fits the condition."""

    condition: bytes
    """BSON."""
    update: bytes
    """BSON: operators."""

    @property
    def bson(self) -> bytes:
        """As the ``update`` command has it: ``{q: …, u: …, upsert: true}``."""
        size = struct.pack("<i", self.size)
        return b"".join((size, b"\x03q\0", self.condition, b"\x03u\0", self.update, _UPSERT))

    @property
    def size(self) -> int:
        """Of that."""
        return _FRAME + len(self.condition) + len(self.update)


class WriteFailure(NamedTuple):
    """One write of a batch that the server refused."""

    position: int
    """In the batch."""
    code: int
    index_fields: tuple[str, ...]
    """For a duplicate key: the fields of the violated index, else empty."""


class WriteOutcome(NamedTuple):
    """What came of a batch of writes."""

    applied: int
    """Inserted documents plus updates whose filter matched."""
    failures: tuple[WriteFailure, ...]


class WriteUnconfirmed(StoreError):
    """The primary carried a batch out; the majority did not confirm it, and may never get it."""

    effect = Effect.UNCONFIRMED

    def __init__(self, outcome: WriteOutcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome

    def message(self) -> str:
        """What is not known."""
        return "the majority of the endpoint store did not confirm a write"


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """An index: its name, its fields in order (all ascending), and its kind."""

    name: str
    fields: tuple[str, ...]
    unique: bool = False
    partial: Mapping[str, Any] | None = None
    reason: str = ""


class Store(Protocol):
    """Endpoint documents in MongoDB. Everything runs on one event loop."""

    @property
    def driver(self) -> str:
        """``motor`` or ``pymongo``."""

    @property
    def fields(self) -> MongoFields:
        """What the fields of the documents are called."""

    @property
    def namespace(self) -> str:
        """``database.collection``."""

    @property
    def identity(self) -> str:
        """Hosts and namespace, without credentials: tells one target of an import from another."""

    @property
    def abandoned(self) -> int:
        """Operations nobody waits for any more that the driver has not finished yet."""

    async def load(self, ids: Sequence[str], time_limit: float) -> list[bytes]:
        """The documents of ``ids`` that exist: raw BSON, concatenated, in any order, in some batches.

        Read from the primary with read concern ``majority``. Never takes longer than ``time_limit`` seconds;
        cancelling it does not disturb the connection: what the server still sends is read and dropped.
        Raises ``StoreTimeout`` (no answer in time), ``StoreUnavailable`` (no primary, or it refused) or
        ``StoreOverloaded`` (too many earlier operations never ended).
        """

    async def ping(self, time_limit: float) -> None:
        """Proves that loads work, by a load of an id that cannot exist; raises as ``load`` does."""

    def on_primary_changed(self, callback: Callable[[], None]) -> None:
        """Sets what is called on the loop's thread when another primary, or a new term of one, is seen."""

    # --- the second witness ---------------------------------------------------------------------------------
    async def watch(self, after: Position | None, time_limit: float) -> ChangeCursor:
        """The change stream of the collection, from ``after`` on, or from now on.

        From now on: what a load that begins later returns, or a later change of it is in the stream. Raises
        ``ChangeStreamLost`` when it cannot go on at ``after``, ``ChangeStreamUnsupported`` on a deployment
        without change streams, else as ``load`` does.
        """

    async def replace(self, mongo: MongoSettings, time_limit: float) -> Coroutine[Any, Any, None] | None:
        """Lets a client with these settings take the place of the one there is, once it has proven to work.

        Operations under way end on the old one. Returns what closes that, to be run in the background, or
        None where neither the settings nor the files that they name differ. Raises StoreError: then all
        stays as it is.
        """

    async def close(self) -> None:
        """Closes all connections; unfinished operations fail."""

    # --- imports, exports, indexes --------------------------------------------------------------------------
    def require_own_documents(self) -> None:
        """Raises ``ForeignCollection`` where a field mapping says that others write the documents."""

    async def read(self, ids: Sequence[str], time_limit: float) -> list[bytes]:
        """As ``load``, with all fields but ``outbox``."""

    async def write(self, writes: Sequence[Write], time_limit: float) -> WriteOutcome:
        """Writes unordered, acknowledged by the majority; each write is atomic, the batch is not.

        Raises ``WriteUnconfirmed`` when all that is missing is the majority's word. Of any other error its
        ``effect`` tells whether something may be written.
        """

    async def page(self, after: str | None, limit: int, time_limit: float) -> bytes:
        """The next documents in the order of their ids, with all fields but ``outbox``; empty at the end.

        They begin behind the id ``after`` (None: with the first) and are ``limit`` or as many as fit into 16
        MiB. Each page is a query of its own, so a failover in between costs nothing.
        """

    async def estimate(self, time_limit: float) -> int:
        """About how many documents there are."""

    async def indexes(self, time_limit: float) -> dict[str, dict[str, Any]]:
        """The collection's indexes by name, as the driver describes them; empty without a collection."""

    async def build_indexes(self, specs: Sequence[IndexSpec]) -> None:
        """Returns once all of these are there, however long the server builds.

        Cancelled, it ends at once, and the server goes on. Raises ``IndexesRefused``, or as ``load`` does.
        """

    async def drop_index(self, name: str, time_limit: float) -> None:
        """Drops an index, if it is there."""
