"""The one nats-server and the one mongod that all contenders share, and the endpoints in it."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from bson import Int64
from pymongo import MongoClient, WriteConcern

from bench.generator import ROOT, Generator
from bench.scenarios import Dataset, Scenario
from kaa_epr.embedded import MongoServer, NatsServer

DATABASE: Final = "bench"
BATCH: Final = 2_000
MONGO_CACHE_GB: Final = 4
"""Room for all endpoints and for what is written, as where MongoDB has its default, half of the memory."""
CHANGES: Final = ROOT / "bench" / "changes.py"


class Servers:
    """Both servers; their data stays in ``directory`` for the next run."""

    def __init__(self, directory: Path) -> None:
        self.nats = NatsServer(directory / "nats")
        self.mongo = MongoServer(directory / "mongo")
        self.mongo.cache_gb = MONGO_CACHE_GB
        self.pids: dict[str, int] = {}

    def __enter__(self) -> Self:
        self.nats.start()
        try:
            self.mongo.start()
        except BaseException:
            self.nats.stop()
            raise
        self.pids = {"nats": self.nats.process.pid, "mongo": self.mongo.process.pid}
        return self

    def __exit__(self, *_: object) -> None:
        self.mongo.stop()
        self.nats.stop()

    def load(self, dataset: Dataset, generator: Generator, say: Callable[[str], None]) -> None:
        """Makes sure that the dataset's collection holds it."""
        with MongoClient[dict[str, Any]](self.mongo.uri) as client:
            collection = client[DATABASE].get_collection(
                dataset.collection, write_concern=WriteConcern(1, j=False)
            )
            if collection.estimated_document_count() == dataset.endpoints:
                return
            say(f"loading {dataset.endpoints} endpoints of {dataset.bytes} B")
            collection.drop()
            documents = generator.documents(dataset)
            while batch := list(itertools.islice(documents, BATCH)):
                for document in batch:
                    document["version"] = Int64(document["version"])
                collection.insert_many(batch, ordered=False)

    def writer(self, scenario: Scenario) -> list[str]:
        """The load generator's options for what changes endpoints beside the gets, if the scenario has it."""
        if scenario.changes_per_second is None:
            return []
        place = [self.mongo.uri, DATABASE, scenario.dataset.collection]
        command = [sys.executable, str(CHANGES), *place, str(scenario.changes_per_second)]
        return [f"--writer={word}" for word in command]

    def versions(self) -> dict[str, str]:
        """What runs."""
        nats = subprocess.run(
            [*self.nats.process.argv[:1], "--version"], stdout=subprocess.PIPE, text=True, check=True
        )
        with MongoClient[dict[str, Any]](self.mongo.uri) as client:
            mongo = str(client.server_info()["version"])
        return {"nats-server": re.sub(r"^.*v", "", nats.stdout.strip()), "mongod": mongo}
