"""What a mongod and a nats-server of ours have in common: how they end, and begin again where they were."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from kaa_epr.embedded.process import ServerProcess


class EmbeddedServer(ABC):
    """One server process on a port that it keeps; ``with`` starts and stops it."""

    process: ServerProcess

    @abstractmethod
    def start(self, keep_open: Sequence[int] = ()) -> None:
        """Start it, with descriptors ``keep_open`` inherited, and wait until it serves."""

    def stop(self) -> None:
        """Stop it in order; its port is remembered."""
        self.process.stop()

    def kill(self) -> None:
        """Kill it as a crash would; its port is remembered."""
        self.process.kill()

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same port with the same files."""
        self.process.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
