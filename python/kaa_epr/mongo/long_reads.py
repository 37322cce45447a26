"""Reads that may take long: lists, counts, the keys in use. They have connections, and threads, of their own.

So however slow they are, loads and writes find theirs free, and the other way round. Each runs in a session
of its own, which is killed on the server when nobody waits any more; its place is free once it has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import pymongo
from bson import CodecOptions
from bson.errors import BSONError
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import AutoReconnect, PyMongoError

from kaa_epr.log import get_logger
from kaa_epr.mongo.errors import StoreTimeout, StoreUnavailable, from_driver
from kaa_epr.mongo.gate import Gate
from kaa_epr.mongo.handle import Handle
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)
_T = TypeVar("_T")

_KILL_SECONDS: Final = 2.0
_GRACE: Final = 0.5
"""Seconds beyond the time limit, in which the server's own refusal is read."""


class LongClient(Protocol):
    """A client of either driver, as far as it is needed here."""

    def start(self) -> Any:
        """A session."""

    async def ask(self, session: Any, command: Mapping[str, Any], codec: CodecOptions[Any]) -> Any:
        """The answer to a command on the database of the endpoints."""

    async def kill(self, session: Any) -> None:
        """Ends on the server what runs in the session."""

    async def end(self, session: Any) -> None:
        """The session is used no more."""

    async def close(self) -> None:
        """Closes all connections."""


class AsyncLongClient:
    """PyMongo's own asynchronous client."""

    def __init__(self, uri: str, options: Mapping[str, Any], database: str, at_once: int) -> None:
        """One connection more than reads: killing one must not wait for another."""
        self._client: AsyncMongoClient[Any] = AsyncMongoClient(uri, **{**options, "maxPoolSize": at_once + 1})
        self._database = self._client.get_database(database)

    def start(self) -> Any:
        """A session."""
        return self._client.start_session(causal_consistency=False)

    async def ask(self, session: Any, command: Mapping[str, Any], codec: CodecOptions[Any]) -> Any:
        """The answer to a command."""
        return await self._database.command(dict(command), session=session, codec_options=codec)

    async def kill(self, session: Any) -> None:
        """Ends what runs in the session."""
        with pymongo.timeout(_KILL_SECONDS):
            await self._client.admin.command({"killSessions": [session.session_id]})

    async def end(self, session: Any) -> None:
        """The session is used no more."""
        await session.end_session()

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.close()


class ThreadedLongClient:
    """PyMongo's blocking client, which Motor wraps too, in threads that are not Motor's."""

    def __init__(self, uri: str, options: Mapping[str, Any], database: str, at_once: int) -> None:
        """One connection and one thread more than reads: killing one must not wait for another."""
        more = {"maxPoolSize": at_once + 1, "connect": False}
        self._client: MongoClient[Any] = MongoClient(uri, **{**options, **more})
        self._database = self._client.get_database(database)
        self._threads = ThreadPoolExecutor(at_once + 1, "kaa-epr-list")

    def start(self) -> Any:
        """A session."""
        return self._client.start_session(causal_consistency=False)

    async def ask(self, session: Any, command: Mapping[str, Any], codec: CodecOptions[Any]) -> Any:
        """The answer to a command."""
        ask = partial(self._database.command, dict(command), session=session, codec_options=codec)
        return await self._run(ask)

    async def kill(self, session: Any) -> None:
        """Ends what runs in the session."""
        command = {"killSessions": [session.session_id]}
        with pymongo.timeout(_KILL_SECONDS):
            await self._run(partial(self._client.admin.command, command))

    async def end(self, session: Any) -> None:
        """The session is used no more."""
        session.end_session()

    async def close(self) -> None:
        """Closes all connections."""
        await asyncio.to_thread(self._client.close)
        self._threads.shutdown(wait=False)

    async def _run(self, work: Callable[[], _T]) -> _T:
        # In the caller's context, since that holds the time limit.
        return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, work)


class LongReads:
    """Runs them, so many at once."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._gate = Gate(at_once, waiting)
        self._endings = Supervisor().passing("long_reads")

    async def run(
        self,
        handle: Handle,
        command: Mapping[str, Any],
        codec: CodecOptions[Any],
        operation: str,
        time_limit: float,
    ) -> Any:
        """The answer to one command, waiting for its turn included. Raises StoreError."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + time_limit
        await self._gate.enter(operation, time_limit)
        client, session = self._begin(handle, operation)
        left = deadline - loop.time()
        work = handle.begin(_ask(client, session, command, codec, left))
        try:
            done, _ = await asyncio.wait({work}, timeout=left + _GRACE)
        except asyncio.CancelledError:
            self._endings.run(self._kill(client, session, work, operation))
            raise
        if not done:
            self._endings.run(self._kill(client, session, work, operation))
            raise StoreTimeout(operation, time_limit)
        return await self._settle(client, session, work, operation, time_limit)

    def _begin(self, handle: Handle, operation: str) -> tuple[LongClient, Any]:
        """A session; whoever has come this far has a place, which is given back where there is none."""
        try:
            client: LongClient = handle.long()
            return client, client.start()
        except (PyMongoError, ValueError, OSError) as error:
            self._gate.leave()
            raise StoreUnavailable(f"{operation} failed with {type(error).__name__}") from None

    async def _settle(
        self, client: LongClient, session: Any, work: asyncio.Task[Any], operation: str, time_limit: float
    ) -> Any:
        """The result of what has ended here."""
        failure = None if work.cancelled() else work.exception()
        if isinstance(failure, PyMongoError) and failure.timeout:
            # The driver has closed the connection; the server may not have noticed.
            self._endings.run(self._kill(client, session, work, operation))
        else:
            await self._end(client, session)
        if work.cancelled():
            raise StoreUnavailable("it was closed")
        if isinstance(failure, PyMongoError | BSONError):
            raise from_driver(failure, operation, time_limit) from failure
        return work.result()

    async def _kill(self, client: LongClient, session: Any, work: asyncio.Task[Any], operation: str) -> None:
        try:
            await client.kill(session)
        except (PyMongoError, RuntimeError) as error:
            # It ends by its own time limit then, or the client was closed.
            _log.debug("a read could not be killed", operation=operation, error=type(error).__name__)
        await asyncio.wait({work})
        if not work.cancelled():
            work.exception()
        await self._end(client, session)

    async def _end(self, client: LongClient, session: Any) -> None:
        try:
            await client.end(session)
        finally:
            self._gate.leave()


async def _ask(
    client: LongClient, session: Any, command: Mapping[str, Any], codec: CodecOptions[Any], seconds: float
) -> Any:
    with pymongo.timeout(seconds):
        limited = {**command, "maxTimeMS": max(1, int(seconds * 1000))}
        try:
            return await client.ask(session, limited, codec)
        except AutoReconnect as error:
            if error.timeout:
                raise
            # As the driver asks once more with cursors of its own.
            return await client.ask(session, limited, codec)
