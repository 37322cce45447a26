"""Real servers without installing any: nats-server and mongod as child processes on loopback."""

from kaa_epr.embedded.errors import DataDirInUse, EmbeddedError, LibraryMissing, ServerFailed, ServerNotFound
from kaa_epr.embedded.mongo import MongoServer, MongoTls, start_mongod
from kaa_epr.embedded.nats import NatsServer, start_nats
from kaa_epr.embedded.servers import EmbeddedServers

__all__ = [
    "DataDirInUse",
    "EmbeddedError",
    "EmbeddedServers",
    "LibraryMissing",
    "MongoServer",
    "MongoTls",
    "NatsServer",
    "ServerFailed",
    "ServerNotFound",
    "start_mongod",
    "start_nats",
]
