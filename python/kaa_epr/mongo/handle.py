"""One client of the driver and what belongs to it, so that another can take its place while it is in use.

An operation keeps to the client that it began with: its cursors and sessions are nobody else's. The client of
new operations is replaced in one moment (new credentials, new certificates); the old one is closed when its
operations have ended.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from pymongo import ReadPreference
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from kaa_epr.config.mongo import MongoSettings

_T = TypeVar("_T")

MAJORITY: Final = "majority"
Digests = tuple[bytes | None, ...]


@dataclass(eq=False, slots=True)
class Numbering:
    """A session of the driver's and the number of the last write that was sent in it; see ``statements``."""

    session: Any
    last: int


@dataclass(eq=False, slots=True)
class Handle:
    """A client with the database and the collection of the endpoints, of either driver."""

    client: Any
    database: Any
    collection: Any
    settings: MongoSettings
    digests: Digests
    """Of the files that the settings name; with these they decide whether another client would differ."""
    open_long: Callable[[], Any]
    """Opens the client of reads that may take long; see ``long_reads``."""
    opened_long: Any = None
    operations: set[asyncio.Task[Any]] = field(default_factory=set)
    """Those under way on it."""
    numbering: list[Numbering] = field(default_factory=list)
    """Sessions of statements, those that are not in use."""
    repeats: bool = False
    """Whether the deployment is known to take statements that may be repeated."""

    def long(self) -> Any:
        """That client, which is opened when it is asked for first. Raises what the driver raises."""
        if self.opened_long is None:
            self.opened_long = self.open_long()
        return self.opened_long

    def begin(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Runs ``work`` in a task of its own, within which this is the ``current`` handle."""
        context = copy_context()
        context.run(_current.set, self)
        task = asyncio.get_running_loop().create_task(work, context=context)
        self.operations.add(task)
        task.add_done_callback(self.operations.discard)
        return task

    async def idle(self, seconds: float) -> bool:
        """Waits until no operation is under way, at most ``seconds``; whether that came about."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self.operations and (left := deadline - loop.time()) > 0:
            await asyncio.wait(set(self.operations), timeout=left)
        return not self.operations


_current: Final[ContextVar[Handle | None]] = ContextVar("handle", default=None)


def current() -> Handle | None:
    """That of the operation in whose context this is asked."""
    return _current.get()


def make_handle(mongo: MongoSettings, opened: Callable[[], Any], open_long: Callable[[], Any]) -> Handle:
    """A handle on what ``opened`` makes. Raises what that raises, or OSError for unreadable files.

    ``open_long``: makes the client of reads that may take long.
    """
    files = digests(mongo)
    client = opened()
    database = client.get_database(
        mongo.database,
        read_preference=ReadPreference.PRIMARY,
        read_concern=ReadConcern(MAJORITY),
        write_concern=WriteConcern(MAJORITY),
    )
    return Handle(client, database, database.get_collection(mongo.collection), mongo, files, open_long)


def digests(mongo: MongoSettings) -> Digests:
    """Of the files that the settings name. Raises OSError."""
    files = (mongo.tls.ca_file, mongo.tls.cert_key_file)
    return tuple(None if file is None else hashlib.sha256(Path(file).read_bytes()).digest() for file in files)
