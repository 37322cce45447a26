"""Changes endpoints in Mongo at a rate, and says so: the truth behind the storm of numbered events.

Each change raises ``version`` by one, as a register's does, and makes the field ``note`` say which version
it is, many in one write that the majority acknowledges. Only then is it reported, a line of ENDPOINT,
VERSION, OLD and NEW (as JSON) each, apart by tabs, on standard output, for the load generator to publish
(``--writer``). That knows what ``note`` is at which version (``bench/load/src/changes.rs``), so answers can
still be checked. Ends when nobody reads any more.

    python bench/changes.py URI DATABASE COLLECTION RATE
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any, Final

from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection

BATCHES_PER_SECOND: Final = 20
"""Each waits for the journal once; more of them would only wait more."""
FIELD: Final = "note"

Documents = Collection[dict[str, Any]]


class Endpoints:
    """The version of each, and the field as JSON."""

    def __init__(self, endpoints: Documents) -> None:
        self._endpoints = endpoints
        self._versions: dict[str, int] = {}
        self._notes: dict[str, str] = {}
        places = set()
        for found in endpoints.find({}, {"version": 1, "metadata": 1}):
            keys = [field["key"] for field in found["metadata"]]
            places.add(place := keys.index(FIELD))
            self._versions[found["_id"]] = int(found["version"])
            self._notes[found["_id"]] = _json(found["metadata"][place]["value"])
        (at,) = places  # the same in all: one write changes many
        self._path = f"metadata.{at}.value"

    def ids(self) -> list[str]:
        """Of all."""
        return list(self._versions)

    def change(self, batch: list[str]) -> Iterator[str]:
        """Change these, in one write for each version that some have; their reports, once acknowledged."""
        by_version: dict[int, list[str]] = {}
        for endpoint in batch:
            by_version.setdefault(self._versions[endpoint], []).append(endpoint)
        for version, same in by_version.items():
            note = f"v{version + 1:015}"
            outcome = self._endpoints.update_many(
                {"_id": {"$in": same}, "version": version},
                {"$inc": {"version": 1}, "$set": {self._path: note}},
            )
            if outcome.modified_count != len(same):
                raise SystemExit("somebody else writes to these endpoints")
            for endpoint in same:
                old, new = self._notes[endpoint], _json(note)
                self._versions[endpoint], self._notes[endpoint] = version + 1, new
                yield f"{endpoint}\t{version + 1}\t{old}\t{new}\n"


def change(uri: str, database: str, collection: str, rate: float) -> None:
    """Until standard output is closed; behind its rate it goes on without a pause."""
    with MongoClient[dict[str, Any]](uri) as client:
        majority = WriteConcern("majority")
        endpoints = Endpoints(client[database].get_collection(collection, write_concern=majority))
        ids = endpoints.ids()
        size = min(len(ids), max(1, int(rate / BATCHES_PER_SECOND)))
        begun, done = time.monotonic(), 0
        for start in cycle(range(0, len(ids), size)):
            batch = ids[start : start + size]
            sys.stdout.write("".join(endpoints.change(batch)))
            sys.stdout.flush()
            done += len(batch)
            time.sleep(max(0.0, begun + done / rate - time.monotonic()))


def _json(text: str) -> str:
    """As gets print it."""
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    try:
        change(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
    except (BrokenPipeError, KeyboardInterrupt):
        sys.stderr.close()  # nobody reads what is left in the buffers
