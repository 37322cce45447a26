"""The client under the store: opened from settings, every operation bounded, replaced while in use, closed.

Motor's and PyMongo's own asynchronous classes offer the same methods but no common type, so a client and what
comes from it are ``Any`` here.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

import pymongo
from bson.errors import BSONError
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS
from pymongo.errors import AutoReconnect, InvalidURI, PyMongoError

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings
from kaa_epr.mongo.errors import (
    Effect,
    StoreOverloaded,
    StoreSettingsRefused,
    StoreTimeout,
    StoreUnavailable,
    from_driver,
)
from kaa_epr.mongo.handle import MAJORITY, Handle, current, digests, make_handle
from kaa_epr.mongo.long_reads import LongClient, LongReads
from kaa_epr.mongo.options import client_options
from kaa_epr.mongo.primary import PrimaryWatch
from kaa_epr.mongo.reply import FirstBatch, first_batch
from kaa_epr.mongo.sent import SentWatch, watched

_log: Final = logging.getLogger(__name__)
_T = TypeVar("_T")

_CLOSE_SECONDS: Final = 1.0
"""How long closing waits for operations that nobody waits for any more."""
_MAX_OTHERS: Final = 8
"""Operations beside loads that may be left behind."""
_RETIRE_SECONDS: Final = 60.0
"""How long a client that was replaced is left to the operations that began with it."""


class Abandoned:
    """Operations of one kind that nobody waits for any more and that the driver has not finished yet."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.tasks: set[asyncio.Task[Any]] = set()

    @property
    def full(self) -> bool:
        """Whether they are so many that no more of the kind should begin."""
        return len(self.tasks) >= self._most

    def add(self, task: asyncio.Task[Any]) -> None:
        """One more, until it ends."""
        self.tasks.add(task)
        task.add_done_callback(self._bury)

    def _bury(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.debug("an operation past its time limit ended with %s", type(error).__name__)


class BoundedClient(ABC):
    """A client whose operations all end in time for whoever waits, and by themselves for whoever does not."""

    def __init__(self, mongo: MongoSettings, store: StoreSettings) -> None:
        """Opens a client on the running loop; it connects with the first operation.

        Raises ``StoreSettingsRefused`` when the driver does not accept the settings.
        """
        self.fields = mongo.fields
        self._watch = PrimaryWatch(asyncio.get_running_loop())
        self._store = store
        # Each holds a connection and, under Motor, a thread. As many as loads may be in flight: so many a
        # store that hangs leaves behind until the breaker trips. Others keep no load from beginning.
        self._loads = Abandoned(store.max_loads)
        self._others = Abandoned(_MAX_OTHERS)
        self._long_reads = LongReads(mongo.max_lists, mongo.max_waiting_lists)
        self._newest = self._make_handle(mongo)
        self._retired: set[Handle] = set()
        self._name = mongo.collection
        self.namespace = f"{mongo.database}.{mongo.collection}"
        self.identity = f"{_hosts(mongo.uri.get_secret_value())}/{self.namespace}"

    def _make_handle(self, mongo: MongoSettings) -> Handle:
        options = client_options(mongo, self._store) | {"event_listeners": [self._watch, SentWatch()]}
        uri = mongo.uri.get_secret_value()
        long = client_options(mongo, self._store)
        open_long = partial(self._open_long, uri, long, mongo.database, mongo.max_lists)
        with refusing_settings():
            return make_handle(mongo, partial(self._open, uri, options), open_long)

    @property
    def _handle(self) -> Handle:
        """That of the operation in whose context this is asked; outside of one, that of the next."""
        return current() or self._newest

    @property
    def _database(self) -> Any:
        return self._handle.database

    @property
    def _collection(self) -> Any:
        return self._handle.collection

    @property
    @abstractmethod
    def driver(self) -> str:
        """``motor`` or ``pymongo``."""

    @abstractmethod
    def _open(self, uri: str, options: Mapping[str, Any]) -> Any:
        """The driver's client."""

    @abstractmethod
    def _open_long(self, uri: str, options: Mapping[str, Any], database: str, at_once: int) -> LongClient:
        """The driver's client of reads that may take long."""

    @abstractmethod
    async def _session(self) -> Any:
        """A session of the driver's on the current handle's client; not causally consistent."""

    @abstractmethod
    async def _close(self, client: Any) -> None:
        """Closes the driver's client."""

    async def _close_both(self, handle: Handle) -> None:
        if handle.opened_long is not None:
            await handle.opened_long.close()
        await self._close(handle.client)

    @property
    def abandoned(self) -> int:
        """Loads nobody waits for any more that the driver has not finished yet."""
        return len(self._loads.tasks)

    def on_primary_changed(self, callback: Callable[[], None]) -> None:
        """Sets what is called when another primary, or a new term of one, is seen."""
        self._watch.on_change(callback)

    async def replace(self, mongo: MongoSettings, time_limit: float) -> Coroutine[Any, Any, None] | None:
        """Lets a client with these settings take the place of the one there is, once it has proven to work.

        Operations under way end on the old one. Returns what closes that, to be run in the background, or
        None where neither the settings nor the files that they name differ. Raises StoreError: then all
        stays as it is.
        """
        with refusing_settings():
            if mongo == self._newest.settings and digests(mongo) == self._newest.digests:
                return None
        made = self._make_handle(mongo)
        try:
            await self._prove(made, time_limit)
        except BaseException:
            await self._close_both(made)
            raise
        old, self._newest = self._newest, made
        self._retired.add(old)
        return self._retire(old)

    @abstractmethod
    async def _prove(self, handle: Handle, time_limit: float) -> None:
        """Shows that operations work on ``handle``. Raises StoreError."""

    async def _retire(self, handle: Handle) -> None:
        if not await handle.idle(_RETIRE_SECONDS):
            _log.warning("a client of the store is closed although operations are under way on it")
        await self._end(handle)

    async def close(self) -> None:
        """Closes all connections. Unfinished operations get a second, then fail."""
        await asyncio.gather(*(self._end(handle) for handle in (self._newest, *self._retired)))

    async def _end(self, handle: Handle) -> None:
        await handle.idle(_CLOSE_SECONDS)
        unfinished = set(handle.operations)
        for task in unfinished:
            task.cancel()
        await self._close_both(handle)
        await handle.idle(_CLOSE_SECONDS)
        self._retired.discard(handle)

    # --- for subclasses -------------------------------------------------------------------------------------
    async def _bounded(
        self,
        work: Coroutine[Any, Any, _T],
        operation: str,
        time_limit: float,
        abandoned: Abandoned,
        handle: Handle | None = None,
    ) -> _T:
        """The result of ``work``, which runs in a task of its own, on one client, and is never cancelled.

        Cancelling would make PyMongo close the connection, and Motor leave its thread alone with it. When
        time is up, or the caller is cancelled, the work is left to its own time limits.
        """
        if abandoned.full:
            work.close()
            raise StoreOverloaded(len(abandoned.tasks))
        task = (handle or self._newest).begin(work)
        try:
            done, _ = await asyncio.wait((task,), timeout=time_limit)
        except asyncio.CancelledError:
            abandoned.add(task)
            raise
        if not done:
            abandoned.add(task)
            raise StoreTimeout(operation, time_limit)
        if task.cancelled():
            raise StoreUnavailable("it was closed", Effect.PERHAPS)
        try:
            return task.result()
        except (PyMongoError, BSONError) as error:
            raise from_driver(error, operation, time_limit) from error
        finally:
            # The error's traceback holds this frame, and the task the error: no cycle to be left behind.
            del task

    async def _limited(
        self, work: Callable[[], Coroutine[Any, Any, _T]], operation: str, time_limit: float
    ) -> _T:
        """As ``_bounded``, with the driver's own limits raised: these may take longer than loads."""

        async def run() -> _T:
            with pymongo.timeout(time_limit), watched() as sent:
                try:
                    return await work()
                except (PyMongoError, BSONError) as error:
                    raise from_driver(error, operation, time_limit, sent.effect(error)) from error

        return await self._bounded(run(), operation, time_limit + 1, self._others)

    async def _ask(self, command: Mapping[str, Any], read_concern: str = MAJORITY) -> FirstBatch:
        command = {**command, "readConcern": {"level": read_concern}}
        answer = await self._database.command(command, codec_options=DEFAULT_RAW_BSON_OPTIONS)
        return first_batch(answer["cursor"].raw)

    async def _page(self, find: Mapping[str, Any]) -> bytes:
        """The documents of a find of one answer. Asked twice, as the driver asks with cursors of its own."""
        try:
            return (await self._ask(find)).documents
        except AutoReconnect as error:
            if error.timeout:
                raise
            return (await self._ask(find)).documents


@contextmanager
def refusing_settings() -> Iterator[None]:
    """Raises ``StoreSettingsRefused`` for whatever the driver has against settings."""
    try:
        # Of an option in the URI that it does not take, the driver only warns.
        with warnings.catch_warnings(action="error", category=UserWarning):
            yield
    except (PyMongoError, ValueError, TypeError, OSError, UserWarning) as error:
        # from None: the driver's text may quote parts of the connection string.
        raise StoreSettingsRefused(_without_secrets(error)) from None


def _hosts(uri: str) -> str:
    """The host part of a connection string, as written, without the credentials in front of it."""
    authority = uri.partition("://")[2].partition("/")[0].partition("?")[0]
    return authority.rpartition("@")[2]


def _without_secrets(error: Exception) -> str:
    if isinstance(error, InvalidURI):
        return "mongo.uri is not a MongoDB connection string"
    if isinstance(error, UserWarning):
        return "mongo.uri has an option that the driver does not know, or a value that it does not take"
    if isinstance(error, OSError):
        # A certificate that cannot be read: the file's name is what one needs to know.
        return f"{error.strerror or type(error).__name__} ({error.filename or 'certificate or key file'})"
    return f"{type(error).__name__} while opening the client; check mongo.uri, mongo.tls and the user"
