"""The pair that ``kaa-epr serve --embedded`` brings along: a nats-server and a mongod on loopback."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from kaa_epr.embedded.data_dir import DataDir
from kaa_epr.embedded.errors import ServerFailed
from kaa_epr.embedded.mongo import MongoServer
from kaa_epr.embedded.nats import ANY_PORT, PORT_TAKEN, NatsServer

USUAL_NATS_PORT: Final = 4222


class EmbeddedServers:
    """Both servers, started in order and stopped in reverse; a context manager, ordinary or async.

    Their data stays in ``data_dir`` for the next time. ``nats_port`` is used if it is free, else any other.
    Entering raises EmbeddedError (DataDirInUse, ServerNotFound, ServerFailed, LibraryMissing), PyMongoError
    or OSError, and leaves nothing running. Enter on a thread that outlives the servers: the kernel kills
    them when it ends.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        nats_port: int = USUAL_NATS_PORT,
        nats_binary: Path | None = None,
        mongod_binary: Path | None = None,
    ) -> None:
        self.data_dir = DataDir(data_dir)
        self._nats_binary = nats_binary
        self._mongod_binary = mongod_binary
        self._nats_port = nats_port
        self._running = ExitStack()
        self.nats: NatsServer
        self.mongo: MongoServer

    @property
    def nats_url(self) -> str:
        """Where clients of NATS connect."""
        return self.nats.url

    @property
    def mongo_uri(self) -> str:
        """Where clients of MongoDB connect."""
        return self.mongo.uri

    def __enter__(self) -> Self:
        with ExitStack() as running:
            data_dir = running.enter_context(self.data_dir)
            self.nats = NatsServer(data_dir.path / "nats", port=self._nats_port, binary=self._nats_binary)
            self.mongo = MongoServer(data_dir.path / "mongo", binary=self._mongod_binary)
            self._start_nats()
            running.callback(self.nats.stop)
            self.mongo.start(keep_open=[data_dir.servers_lock])
            running.callback(self.mongo.stop)
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    async def __aenter__(self) -> Self:
        """Blocks the loop for the second or two that the servers take: they belong to the calling thread."""
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._running.close)

    def _start_nats(self) -> None:
        keep_open = [self.data_dir.servers_lock]
        try:
            self.nats.start(keep_open)
        except ServerFailed:
            if not self.nats.process.printed(PORT_TAKEN):
                raise
            self.nats.port = ANY_PORT
            self.nats.start(keep_open)
