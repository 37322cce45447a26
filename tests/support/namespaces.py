"""A network of its own for one server, behind a router that can drop its packets without a word.

    this process  --- veth ---  router (namespace)  --- veth ---  server (namespace)

No RST, no FIN, no unreachable: what ``drop`` discards is just gone, as when a cable is cut behind a switch.
Addresses are of 198.18.0.0/15, which is set aside for tests of networks (RFC 2544).
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from contextlib import ExitStack
from typing import Self

Namespace = subprocess.Popen[bytes]


class NotAllowed(Exception):
    """This machine allows no network namespaces, or lacks ``ip``, ``nsenter`` or ``unshare``."""


class RoutedNetwork:
    """A context manager. Raises ``NotAllowed`` where it cannot be made; nothing is left behind."""

    def __init__(self) -> None:
        subnet = secrets.randbelow(256)
        self._near, self._far = f"198.18.{subnet}", f"198.19.{subnet}"
        self._outer = f"kf{os.getpid() % 100_000}{secrets.token_hex(2)}"
        self._made = ExitStack()
        self._router: Namespace
        self._server: Namespace
        self._dropping: list[str] = []

    @property
    def address(self) -> str:
        """Of the server."""
        return f"{self._far}.2"

    def __enter__(self) -> Self:
        if not all(shutil.which(program) for program in ("ip", "nsenter", "unshare")):
            raise NotAllowed
        with ExitStack() as made:
            self._router, self._server = (self._namespace(made) for _ in range(2))
            self._connect()
            self._made = made.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._made.close()

    def drop(self, *directions: str) -> None:
        """Discards packets ``to_server``, ``to_client``, or both."""
        inside = {"to_server": "near", "to_client": "far"}
        for direction in directions or inside:
            self._ip(self._router, "rule", "add", "iif", inside[direction], "blackhole", "priority", "1")
            self._dropping.append(inside[direction])

    def go_on(self) -> None:
        """Undoes ``drop``."""
        while self._dropping:
            self._ip(self._router, "rule", "del", "iif", self._dropping.pop(), "priority", "1")

    def inside(self, *command: str) -> list[str]:
        """A command that runs ``command`` where the server is."""
        nsenter = shutil.which("nsenter")
        assert nsenter is not None
        return [nsenter, f"--net=/proc/{self._server.pid}/ns/net", *command]

    def _namespace(self, made: ExitStack) -> Namespace:
        """A process that holds a new network namespace until its input is closed."""
        holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo made; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        made.enter_context(holder)
        assert holder.stdout is not None
        if holder.stdout.readline() != b"made\n":
            raise NotAllowed
        self._ip(holder, "link", "set", "lo", "up")
        return holder

    def _connect(self) -> None:
        router, server = str(self._router.pid), str(self._server.pid)
        self._ip(None, "link", "add", self._outer, "type", "veth", "peer", "name", "near", "netns", router)
        self._ip(None, "address", "add", f"{self._near}.1/30", "dev", self._outer)
        self._ip(None, "link", "set", self._outer, "up")
        self._ip(None, "route", "add", f"{self._far}.0/30", "via", f"{self._near}.2")
        self._ip(self._router, "address", "add", f"{self._near}.2/30", "dev", "near")
        self._ip(self._router, "link", "set", "near", "up")
        self._ip(self._router, "link", "add", "far", "type", "veth", "peer", "name", "end", "netns", server)
        self._ip(self._router, "address", "add", f"{self._far}.1/30", "dev", "far")
        self._ip(self._router, "link", "set", "far", "up")
        self._run(self._router, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        self._ip(self._server, "address", "add", f"{self._far}.2/30", "dev", "end")
        self._ip(self._server, "link", "set", "end", "up")
        self._ip(self._server, "route", "add", "default", "via", f"{self._far}.1")

    def _ip(self, where: Namespace | None, *arguments: str) -> None:
        self._run(where, "ip", *arguments)

    @staticmethod
    def _run(where: Namespace | None, *command: str) -> None:
        enter = [] if where is None else ["nsenter", f"--net=/proc/{where.pid}/ns/net"]
        done = subprocess.run([*enter, *command], capture_output=True, check=False)
        if done.returncode != 0:
            raise NotAllowed(f"{' '.join(command)}: {done.stderr.decode().strip()}")
