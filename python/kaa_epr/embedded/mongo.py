"""A mongod on loopback: a member of a replica set, on any free port or a given one, its data kept."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kaa_epr.embedded import binaries
from kaa_epr.embedded.errors import ServerFailed
from kaa_epr.embedded.process import ServerProcess
from kaa_epr.embedded.server import EmbeddedServer
from kaa_epr.mongo import replica_set

HOST: Final = "127.0.0.1"
REPLICA_SET: Final = "rs0"
CACHE_GB: Final = 0.25
"""WiredTiger's cache; mongod would take half of the machine's memory."""
OPLOG_MB: Final = 64
START_TIMEOUT: Final = 60.0
PRIMARY_TIMEOUT: Final = 60.0
READY: Final = re.compile(r'"id":23016,.*"Waiting for connections","attr":\{"port":(\d+)')
PORT_TAKEN: Final = re.compile(r"Address already in use")


@dataclass(frozen=True, slots=True)
class MongoTls:
    """Files (PEM) of a mongod that speaks TLS only."""

    cert_key_file: Path
    ca_file: Path
    require_client_cert: bool = False

    def server_options(self) -> list[str]:
        """As arguments of mongod."""
        options = ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(self.cert_key_file)]
        options += ["--tlsCAFile", str(self.ca_file)]
        return options if self.require_client_cert else [*options, "--tlsAllowConnectionsWithoutCertificates"]

    def client_options(self) -> dict[str, Any]:
        """As PyMongo options of the member's own administrator."""
        return {"tls": True, "tlsCAFile": str(self.ca_file), "tlsCertificateKeyFile": str(self.cert_key_file)}


class MongoServer(EmbeddedServer):
    """One mongod with its files in ``directory``; ``port`` (0: any) counts for a fresh directory only.

    ``auth`` (user, password) switches access control on and makes that user root. ``initiate=False`` leaves
    the replica set to be initiated by somebody else. ``options`` are further arguments of mongod.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        replica_set_name: str = REPLICA_SET,
        initiate: bool = True,
        auth: tuple[str, str] | None = None,
        tls: MongoTls | None = None,
        options: Sequence[str] = (),
        binary: Path | None = None,
    ) -> None:
        self.directory = directory
        self.port = port
        self.replica_set_name = replica_set_name
        self.initiate = initiate
        self.auth = auth
        self.tls = tls
        self.options = tuple(options)
        self.cache_gb: float = CACHE_GB
        """Of WiredTiger; to be set before it starts."""
        self._program = binaries.find(binaries.MONGOD, directory / "bin", binary)
        self._data = directory / "db"
        self._port_file = directory / "port"
        self.process = ServerProcess("mongod", [], directory / "mongod.log")

    @property
    def address(self) -> str:
        """``host:port``, as the replica set knows it."""
        return f"{HOST}:{self.port}"

    @property
    def uri(self) -> str:
        """For clients, without credentials and TLS options."""
        return f"mongodb://{self.address}/?replicaSet={self.replica_set_name}"

    @property
    def client_options(self) -> dict[str, Any]:
        """PyMongo options of its administrator."""
        options = self.tls.client_options() if self.tls else {}
        if self.auth:
            options |= {"username": self.auth[0], "password": self.auth[1], "authSource": "admin"}
        return options

    def start(self, keep_open: Sequence[int] = ()) -> None:
        """Start it and wait until it is primary (or, if not to be initiated, takes connections).

        Raises EmbeddedError or PyMongoError; nothing is left running then.
        """
        self._data.mkdir(parents=True, exist_ok=True)
        fresh = not self._port_file.exists()
        if not fresh:  # the set's configuration holds the port
            self.port = int(self._port_file.read_text())
        try:
            self._launch(self._arguments(), keep_open)
        except ServerFailed:
            if fresh or not self.process.printed(PORT_TAKEN):
                raise
            self._move(keep_open)
            self._launch(self._arguments(), keep_open)
        if self.initiate:
            try:
                self._become_primary(fresh)
            except BaseException:
                self.process.kill()
                raise

    def _launch(self, arguments: Sequence[str], keep_open: Sequence[int]) -> None:
        """Run mongod until it takes connections, and note its port, which the set's configuration holds."""
        self.process.argv = [str(self._program), *arguments]
        self.process.start(keep_open)
        try:
            self.port = int(self.process.wait_for(READY, START_TIMEOUT)[1])
            self._port_file.write_text(f"{self.port}\n")
        except BaseException:
            self.process.kill()
            raise

    def _move(self, keep_open: Sequence[int]) -> None:
        """The port of last time is somebody else's now: take a free one and tell the configuration."""
        self.port = 0
        self._launch(self._plain_arguments(), keep_open)
        try:
            replica_set.rename_only_member(self.address)
        finally:
            self.process.stop()

    def _become_primary(self, fresh: bool) -> None:
        options = self.client_options
        if fresh:  # nobody to log in as yet
            options = self.tls.client_options() if self.tls else {}
        replica_set.ensure_primary(
            self.address, self.replica_set_name, timeout=PRIMARY_TIMEOUT, options=options
        )
        if fresh and self.auth:
            replica_set.create_root(self.address, *self.auth, options=options)

    def _plain_arguments(self) -> list[str]:
        arguments = ["--dbpath", str(self._data), "--bind_ip", HOST, "--port", str(self.port), "--quiet"]
        arguments += ["--nounixsocket", "--wiredTigerCacheSizeGB", str(self.cache_gb)]
        return [*arguments, "--setParameter", "diagnosticDataCollectionEnabled=false"]

    def _arguments(self) -> list[str]:
        arguments = self._plain_arguments()
        arguments += ["--replSet", self.replica_set_name, "--oplogSize", str(OPLOG_MB)]
        if self.auth:
            arguments += ["--keyFile", str(self._key_file())]
        if self.tls:
            arguments += self.tls.server_options()
        return [*arguments, *self.options]

    def _key_file(self) -> Path:
        """The secret that members of a replica set with access control share."""
        path = self.directory / "keyfile"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(64))
        return path


def start_mongod(
    directory: Path,
    *,
    port: int = 0,
    auth: tuple[str, str] | None = None,
    tls: MongoTls | None = None,
    options: Sequence[str] = (),
    binary: Path | None = None,
) -> MongoServer:
    """A running replica set of one whose files are in ``directory``; the caller stops it.

    Raises EmbeddedError or PyMongoError.
    """
    server = MongoServer(directory, port=port, auth=auth, tls=tls, options=options, binary=binary)
    server.start()
    return server
