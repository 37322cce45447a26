"""Changes endpoints in Mongo at a rate, and says so: the truth behind the storm of numbered events.

Each change raises ``version`` by one, as a register's does, many in one write that the majority acknowledges.
Only then is it reported, a line ``ENDPOINT VERSION`` each on standard output, for the load generator to
publish (``--writer``). Metadata stay as they are, so that answers can still be checked. Ends when nobody
reads any more.

    python bench/changes.py URI DATABASE COLLECTION RATE
"""

from __future__ import annotations

import sys
import time
from itertools import cycle
from typing import Any, Final

from pymongo import MongoClient, WriteConcern

BATCHES_PER_SECOND: Final = 20
"""Each waits for the journal once; more of them would only wait more."""


def change(uri: str, database: str, collection: str, rate: float) -> None:
    """Until standard output is closed; behind its rate it goes on without a pause."""
    with MongoClient[dict[str, Any]](uri) as client:
        endpoints = client[database].get_collection(collection, write_concern=WriteConcern("majority"))
        versions = {found["_id"]: int(found["version"]) for found in endpoints.find({}, {"version": 1})}
        ids = list(versions)
        size = min(len(ids), max(1, int(rate / BATCHES_PER_SECOND)))
        begun, done = time.monotonic(), 0
        for start in cycle(range(0, len(ids), size)):
            batch = ids[start : start + size]
            outcome = endpoints.update_many({"_id": {"$in": batch}}, {"$inc": {"version": 1}})
            if outcome.modified_count != len(batch):
                raise SystemExit("somebody else writes to these endpoints")
            for endpoint in batch:
                versions[endpoint] += 1
            sys.stdout.write("".join(f"{endpoint} {versions[endpoint]}\n" for endpoint in batch))
            sys.stdout.flush()
            done += len(batch)
            time.sleep(max(0.0, begun + done / rate - time.monotonic()))


if __name__ == "__main__":
    try:
        change(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
    except (BrokenPipeError, KeyboardInterrupt):
        sys.stderr.close()  # nobody reads what is left in the buffers
