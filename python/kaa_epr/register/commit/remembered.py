"""Documents as they were written last, so that the next change of an endpoint need not read it.

Only what the majority has is kept: a write that it confirmed, or a read of it. Whether the document is still
that, the condition of the next write decides, on the version; a plan that writes nothing is confirmed by a
read, or made anew. So a document that others changed meanwhile costs another round trip, and nothing else.
What is taken is not kept any more: whoever used it well puts back what it has become.

Documents without version are not kept: nobody would notice that they changed. Whoever changes a document and
leaves its version alone is not noticed either, for as long as ``MAX_AGE``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from time import monotonic
from typing import Final, NamedTuple

MAX_AGE: Final = 30.0
"""Seconds for which a document is kept."""
_OVERHEAD: Final = 300
"""Bytes that one takes beside its own and those of its ID, about."""


class _Kept(NamedTuple):
    document: bytes
    until: float


class Remembered:
    """Bounded in bytes; what was kept first goes first."""

    def __init__(self, most: int) -> None:
        """``most``: bytes; 0: nothing is kept."""
        self._most = most
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self.size = 0
        """Bytes."""

    def keep(self, endpoint_id: str, document: bytes) -> None:
        """In the place of what there was."""
        self.forget([endpoint_id])
        size = _size(endpoint_id, document)
        if size > self._most:
            return
        self._kept[endpoint_id] = _Kept(document, monotonic() + MAX_AGE)
        self.size += size
        while self.size > self._most:
            oldest, kept = self._kept.popitem(last=False)
            self.size -= _size(oldest, kept.document)

    def take(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Those of ``ids`` that are kept, by ID; none of them is any more."""
        now = monotonic()
        found = {}
        for endpoint_id in ids:
            kept = self._pop(endpoint_id)
            if kept is not None and kept.until > now:
                found[endpoint_id] = kept.document
        return found

    def forget(self, ids: Iterable[str]) -> None:
        """They may be something else now."""
        for endpoint_id in ids:
            self._pop(endpoint_id)

    def _pop(self, endpoint_id: str) -> _Kept | None:
        kept = self._kept.pop(endpoint_id, None)
        if kept is not None:
            self.size -= _size(endpoint_id, kept.document)
        return kept


def _size(endpoint_id: str, document: bytes) -> int:
    return len(endpoint_id) + len(document) + _OVERHEAD
