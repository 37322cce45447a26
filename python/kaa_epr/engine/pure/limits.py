"""Ceilings of the pure engine; those that decide answers are the core's (``rust/core/src/limits.rs``)."""

from __future__ import annotations

from typing import Final

MAX_ID_BYTES: Final = 4096
"""UTF-8 bytes of a correlationId or endpointId: what every answer echoes stays small (design section 5)."""

MAX_DEPTH: Final = 200
"""Levels of a stored document: it is the first, each document, array or code scope inside one more."""

MAX_DOCUMENT: Final = 64 * 1024 * 1024
"""Bytes of one stored document: MongoDB stores at most 16 MiB."""

MAX_SETTLING: Final = 65_536
"""Endpoints that settle after foreign events at a time; when it is full, all endpoints settle."""

MAX_HEADER_VALUE: Final = 256
"""Bytes of a header value that is looked up: a ``traceparent`` has 55."""

DEFAULT_MAX_PAYLOAD: Final = 64 * 1024 * 1024
"""Bytes of a NATS message before any server has told its own limit: the most one can be configured to."""

MAX_BUGS: Final = 16
"""Correlation ids of gets that met a bug, kept until the shell takes them; the oldest give way."""

WAITER_BYTES: Final = 256
"""Charged for a waiting get beside its bytes: the waiter and the decoded request (CPython 3.11, 64 bits)."""

ENTRY_BYTES: Final = 500
"""Charged for a cached endpoint beside its texts: objects, dict slots, LRU links."""

FIELD_BYTES: Final = 200
"""Charged for a metadata field beside its texts: key and fragment objects, a dict slot."""
