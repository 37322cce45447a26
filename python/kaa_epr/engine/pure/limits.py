"""Ceilings of the pure engine; those that decide answers are the core's (``rust/core/src/limits.rs``)."""

from __future__ import annotations

from typing import Final

MAX_ID_BYTES: Final = 4096
"""UTF-8 bytes of a correlationId or endpointId: what every answer echoes stays small."""

MAX_ENDPOINT_IDS: Final = 1000
"""Endpoints of one request for application versions, repeated ones counted each time."""

MAX_DEPTH: Final = 200
"""Levels of a stored document: it is the first, each document, array or code scope inside one more."""

MAX_DOCUMENT: Final = 64 * 1024 * 1024
"""Bytes of one stored document: MongoDB stores at most 16 MiB."""

MAX_EVENT_DEPTH: Final = 100
"""Levels of a value that an event brings: as many as MongoDB stores, the document included."""

MAX_SETTLING: Final = 65_536
"""Endpoints that settle after foreign events at a time; when it is full, all endpoints settle."""

LOWEST: Final = -(2**63)
"""Less than every version but itself."""

MAX_WRITERS: Final = 1024
"""Writers of numbered events; beyond it nothing is served from the cache (rule 5)."""

MAX_WRITER_ID: Final = 64
"""Characters of a writer's ID; ours have 24."""

MAX_FLOORS: Final = 131_072
"""Floors of versions (rule 6); beyond it the oldest gives way."""

FLOOR_LEAST_AGE_MS: Final = 60_000
"""How long a floor is needed at least: thrice what a replica set and its clients take to change primaries."""

MAX_RELOADS: Final = 3
"""How often a load that returned less than its floor is repeated before its gets are answered 503."""

MAX_SAMPLE: Final = 1024
"""Entries that one call of the scrubber may ask for."""

MAX_HEADER_VALUE: Final = 256
"""Bytes of a header value that is looked up: a ``traceparent`` has 55."""

DEFAULT_MAX_PAYLOAD: Final = 64 * 1024 * 1024
"""Bytes of a NATS message before any server has told its own limit: the most one can be configured to."""

MAX_BUGS: Final = 16
"""Correlation ids of gets that met a bug, kept until the shell takes them; the oldest give way."""

WAITER_BYTES: Final = 256
"""Charged for a waiting get beside its bytes: the waiter and the decoded request (CPython 3.11, 64 bits)."""

PART_BYTES: Final = 16
"""Charged for each endpoint of a request that waits for some of them: a list slot and a reference."""

ENTRY_BYTES: Final = 500
"""Charged for a cached endpoint beside its texts: objects, dict slots, LRU links."""

FIELD_BYTES: Final = 200
"""Charged for a metadata field beside its texts: key and fragment objects, a dict slot."""
