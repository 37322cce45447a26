"""What every test here shares: endpoints, load that runs throughout, a judge, and its verdict at the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.fleet import Fleet, Replica, replica_settings
from tests.support.history import History
from tests.support.judge import STRICT, Allowance, Judge
from tests.support.load import Getter
from tests.support.writer import Writer, fill, mongo_client
from tests.support.writers import BulkWriter, ForeignWriter

HEARTBEAT_BOUND: Final = 1.5
"""Coherence rule 5: seconds of silence after which a responder trusts its cache no more."""
MACHINE: Final = 1.5
"""Seconds that a process may have to wait for a core on a busy machine."""
EVENT_LOST: Final = HEARTBEAT_BOUND + MACHINE
"""Staleness where events may be lost."""
FOREIGN_SLACK: Final = MACHINE
"""Staleness of a writer that waits for nobody: its event may overtake the majority's commit."""

LOSSY: Final = Allowance(unanswered=True)
"""Connections are lost and gets with them; nothing else is allowed."""


class Scene:
    """``async with scene.checked_load(...)`` runs load and judges it; the fleet belongs to the test."""

    def __init__(self, directory: Path, mongo_uri: str, database: str, instance: str) -> None:
        self.directory = directory
        self.mongo_uri = mongo_uri
        self.database = database
        self.instance = instance
        self.bulk_ids = [f"bulk-{number}" for number in range(60)]
        self.foreign_ids = [f"foreign-{number}" for number in range(20)]
        self.register_ids = [f"register-{number}" for number in range(40)]
        self.history = History([*self.bulk_ids, *self.register_ids], unknown=["nobody-1", "nobody-2"])
        for endpoint_id in self.foreign_ids:
            self.history.add(endpoint_id, "foreign", FOREIGN_SLACK)
        self.judge = Judge(self.history)
        self.getters: list[Getter] = []
        self.writers: list[Writer] = []
        self._client = mongo_client(mongo_uri)
        self.collection = self._client[database]["endpoints"]

    async def fill(self) -> None:
        """Stores the endpoints with counter 0."""
        await fill(self.collection, list(self.history.endpoints))

    async def close(self) -> None:
        """Ends the test's own connection to the store."""
        await self._client.close()

    # --- parts ----------------------------------------------------------------------------------------------
    def replica(self, url: str, *layers: Mapping[str, Any], name: str = "replica") -> Replica:
        """Not started."""
        settings = replica_settings(url, self.mongo_uri, self.database, self.instance, *layers)
        return Replica(self.directory, name, settings)

    def getter(self, *urls: str, rate: float = 300.0, alone: bool = False, **more: Any) -> Getter:
        """A connection that asks; ``alone``: one replica answers all gets."""
        rng = random.Random(len(self.getters))
        replica = self.instance if alone else None
        made = Getter(self.judge, self.instance, urls, rate=rate, rng=rng, replica=replica, **more)
        self.getters.append(made)
        return made

    def bulk(self, *urls: str, rate: float = 60.0) -> BulkWriter:
        """A numbered writer in this process."""
        made = BulkWriter(
            self.judge, self.collection, self.bulk_ids, originator="bulk", urls=urls, rate=rate, hot=self._hot
        )
        self.writers.append(made)
        return made

    def foreign(self, *urls: str, rate: float = 20.0) -> ForeignWriter:
        """A stock Kaa service that writes with w:1."""
        made = ForeignWriter(
            self.judge,
            self.collection,
            self.foreign_ids,
            originator="stock",
            urls=urls,
            rate=rate,
            hot=self._hot,
        )
        self.writers.append(made)
        return made

    @property
    def _hot(self) -> list[Any]:
        return [getter.hot for getter in self.getters]

    # --- load -----------------------------------------------------------------------------------------------
    @asynccontextmanager
    async def checked_load(self, allowance: Allowance = STRICT) -> AsyncIterator[None]:
        """Runs getters and writers. At the end every get is accounted for and every answer was right."""
        self.judge.allow(allowance)
        parts: Sequence[Getter | Writer] = [*self.getters, *self.writers]
        await asyncio.gather(*(part.start() for part in parts))
        try:
            yield
        finally:
            await asyncio.gather(*(writer.stop() for writer in self.writers))
            await asyncio.gather(*(getter.stop() for getter in self.getters))
        self.judge.check(least=100)

    async def steady(self, answers: int = 300, writes: int = 20) -> None:
        """Until every part of the load has gone on for a while."""
        await asyncio.gather(
            *(getter.more(answers) for getter in self.getters),
            *(writer.more(writes) for writer in self.writers),
        )

    async def settled(self, fleet: Fleet | Sequence[Replica]) -> None:
        """Until every replica, none restarted, answers from its cache again, and then a while."""
        replicas = fleet.replicas if isinstance(fleet, Fleet) else fleet
        await asyncio.gather(*(replica.until_coherent() for replica in replicas))
        await self.steady()
