"""A nats-server on loopback: on any free port or a given one, and on the same port after a restart."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kaa_epr.embedded import binaries
from kaa_epr.embedded.process import ServerProcess
from kaa_epr.embedded.server import EmbeddedServer

HOST: Final = "127.0.0.1"
ANY_PORT: Final = -1
"""nats-server's own way to say "any free port"."""
START_TIMEOUT: Final = 20.0
CLIENT_PORT: Final = re.compile(r"Listening for client connections on \S+:(\d+)")
ROUTE_PORT: Final = re.compile(r"Listening for route connections on \S+:(\d+)")
READY: Final = re.compile(r"Server is ready")
RELOADED: Final = re.compile(r"Reloaded server configuration")
PORT_TAKEN: Final = re.compile(r"address already in use")


class NatsServer(EmbeddedServer):
    """One nats-server. ``config_lines`` is configuration text beside ``listen`` (authorization, tls, ...).

    With ``cluster`` (a cluster's name) it listens for routes too, and connects to ``routes``.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = ANY_PORT,
        config_lines: Sequence[str] = (),
        cluster: str | None = None,
        routes: Sequence[str] = (),
        binary: Path | None = None,
    ) -> None:
        self.directory = directory
        self.port = port
        self.route_port = ANY_PORT
        self.config_lines = tuple(config_lines)
        self.cluster = cluster
        self.routes = tuple(routes)
        self.config_file = directory / "nats-server.conf"
        program = binaries.find(binaries.NATS_SERVER, directory / "bin", binary)
        self.process = ServerProcess(
            "nats-server", [program, "-c", self.config_file], directory / "nats-server.log"
        )

    @property
    def url(self) -> str:
        """For clients, without credentials."""
        return f"nats://{HOST}:{self.port}"

    @property
    def route_url(self) -> str:
        """For the ``routes`` of other members of the cluster."""
        return f"nats://{HOST}:{self.route_port}"

    def start(self, keep_open: Sequence[int] = ()) -> None:
        """Start it and wait until it takes clients. Raises ServerFailed; nothing is left running then."""
        self._write_config()
        self.process.start(keep_open)
        try:
            self.process.wait_for(READY, START_TIMEOUT)
            self.port = int(self.process.wait_for(CLIENT_PORT, START_TIMEOUT)[1])
            if self.cluster is not None:
                self.route_port = int(self.process.wait_for(ROUTE_PORT, START_TIMEOUT)[1])
        except BaseException:
            self.process.kill()
            raise

    def reload(self, config_lines: Sequence[str]) -> None:
        """Replace the configuration of the running server and wait until it took it (SIGHUP)."""
        self.config_lines = tuple(config_lines)
        self._write_config()
        self.process.forget()
        self.process.signal(signal.SIGHUP)
        self.process.wait_for(RELOADED, START_TIMEOUT)

    def _write_config(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = [f'listen: "{HOST}:{self.port}"']
        if self.cluster is not None:
            routes = ", ".join(f'"{route}"' for route in self.routes)
            lines += [
                "cluster {",
                f'  name: "{self.cluster}"',
                f'  listen: "{HOST}:{self.route_port}"',
                f"  routes: [{routes}]",
                "}",
            ]
        self.config_file.write_text("\n".join([*lines, *self.config_lines]) + "\n")


def start_nats(
    directory: Path,
    *,
    port: int = ANY_PORT,
    config_lines: Sequence[str] = (),
    cluster: str | None = None,
    routes: Sequence[str] = (),
    binary: Path | None = None,
) -> NatsServer:
    """A running server whose files are in ``directory``; the caller stops it. Raises EmbeddedError."""
    server = NatsServer(
        directory, port=port, config_lines=config_lines, cluster=cluster, routes=routes, binary=binary
    )
    server.start()
    return server
