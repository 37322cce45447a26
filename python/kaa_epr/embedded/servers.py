"""The pair that ``kaa-epr serve --embedded`` brings along: a nats-server and a mongod on loopback."""

from __future__ import annotations

import asyncio
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from kaa_epr.embedded.data_dir import DataDir
from kaa_epr.embedded.errors import ServerFailed
from kaa_epr.embedded.mongo import PORT_TAKEN as MONGO_PORT_TAKEN
from kaa_epr.embedded.mongo import MongoServer
from kaa_epr.embedded.nats import ANY_PORT, NatsServer
from kaa_epr.embedded.nats import PORT_TAKEN as NATS_PORT_TAKEN

USUAL_NATS_PORT: Final = 4222
USUAL_MONGO_PORT: Final = 27017


class EmbeddedServers:
    """Both servers, started in order and stopped in reverse; a context manager, ordinary or async.

    Their data stays in ``data_dir`` for the next time. ``with_nats`` or ``with_mongo`` False leaves one out,
    because there is another to use. ``nats_port`` and ``mongo_port`` are used if they are free, else any
    other. Entering raises EmbeddedError (DataDirInUse, ServerNotFound, ServerFailed, LibraryMissing),
    PyMongoError or OSError, and leaves nothing running. Enter on a thread that outlives the servers: the
    kernel kills them when it ends.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        with_nats: bool = True,
        with_mongo: bool = True,
        nats_port: int = USUAL_NATS_PORT,
        mongo_port: int = USUAL_MONGO_PORT,
        nats_binary: Path | None = None,
        mongod_binary: Path | None = None,
    ) -> None:
        self.data_dir = DataDir(data_dir)
        self._with_nats = with_nats
        self._with_mongo = with_mongo
        self._nats_port = nats_port
        self._mongo_port = mongo_port
        self._nats_binary = nats_binary
        self._mongod_binary = mongod_binary
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

    def addresses(self) -> dict[str, Any]:
        """The settings, by dotted key, that lead to the servers that run."""
        addresses: dict[str, Any] = {}
        if self._with_nats:
            addresses["nats.servers"] = self.nats_url
        if self._with_mongo:
            addresses["mongo.uri"] = self.mongo_uri
        return addresses

    def __enter__(self) -> Self:
        with ExitStack() as running:
            data_dir = running.enter_context(self.data_dir)
            path, lock = data_dir.path, data_dir.servers_lock
            if self._with_nats:
                self.nats = NatsServer(path / "nats", port=self._nats_port, binary=self._nats_binary)
                _start(self.nats, lock, NATS_PORT_TAKEN, ANY_PORT)
                running.callback(self.nats.stop)
            if self._with_mongo:
                self.mongo = MongoServer(path / "mongo", port=self._mongo_port, binary=self._mongod_binary)
                _start(self.mongo, lock, MONGO_PORT_TAKEN, 0)
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


def _start(server: NatsServer | MongoServer, lock: int, port_taken: re.Pattern[str], any_port: int) -> None:
    """Start ``server`` on its port, or on any other if somebody has that one."""
    try:
        server.start(keep_open=[lock])
    except ServerFailed:
        if not server.process.printed(port_taken):
            raise
        server.port = any_port
        server.start(keep_open=[lock])
