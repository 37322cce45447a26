"""A least-recently-used cache bounded in bytes, with a bounded and jittered age for each entry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from hashlib import blake2b
from typing import Final, Generic, TypeVar

from cachetools import Cache, LRUCache

V = TypeVar("V")
_ID_BYTES: Final = 2
"""Bytes charged per character of an ID: in UTF-8 most have one, and the text is kept twice."""


class Miss(Enum):
    """Why nothing was found."""

    ABSENT = auto()
    EXPIRED = auto()


@dataclass(frozen=True, slots=True)
class _Held(Generic[V]):
    value: V
    size: int
    expires_ms: int


class _Lru(LRUCache[str, _Held[V]]):
    """Counts what it evicts for room."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes, getsizeof=lambda held: held.size)
        self.evictions = 0

    def popitem(self) -> tuple[str, _Held[V]]:
        self.evictions += 1
        return super().popitem()


class BoundedCache(Generic[V]):
    """Endpoint ID -> value. Ages are in milliseconds of the monotonic clock."""

    def __init__(self, max_bytes: int, max_age_ms: int, seed: int) -> None:
        self._lru: _Lru[V] = _Lru(max_bytes)
        self._max_age_ms = max_age_ms
        self._key = seed.to_bytes(16, "little", signed=True)

    def __contains__(self, endpoint_id: str) -> bool:
        return endpoint_id in self._lru

    def __len__(self) -> int:
        return len(self._lru)

    @property
    def bytes(self) -> int:
        """Bytes charged for what is held, at most ``max_bytes``."""
        return int(self._lru.currsize)

    @property
    def evictions(self) -> int:
        """Values evicted for room since the start."""
        return self._lru.evictions

    def get(self, endpoint_id: str, mono_ms: int) -> V | Miss:
        """Looks up and marks as most recently used; a value beyond its age is dropped."""
        held = self._lru.get(endpoint_id)
        if held is None:
            return Miss.ABSENT
        if held.expires_ms <= mono_ms:
            del self._lru[endpoint_id]
            return Miss.EXPIRED
        return held.value

    def peek(self, endpoint_id: str) -> V | None:
        """Looks up without using it, at any age."""
        # LRUCache's own look-up would make it the most recently used.
        return Cache.__getitem__(self._lru, endpoint_id).value if endpoint_id in self._lru else None

    def live(self, endpoint_id: str, mono_ms: int) -> V | None:
        """Looks up without using it; None for a value beyond its age as well."""
        if endpoint_id not in self._lru:
            return None
        held = Cache.__getitem__(self._lru, endpoint_id)
        return held.value if held.expires_ms > mono_ms else None

    def sample(self, count: int, at: int) -> list[tuple[str, V]]:
        """Up to ``count`` of what is held, from place ``at`` (modulo their number) on."""
        ids = list(self._lru)
        start = at % len(ids) if ids else 0
        chosen = (ids[start:] + ids[:start])[:count]
        return [(id_, Cache.__getitem__(self._lru, id_).value) for id_ in chosen]

    def insert(self, endpoint_id: str, value: V, size: int, mono_ms: int) -> bool:
        """Stores ``value`` instead of what was there; False when it alone is over the bound."""
        self.remove(endpoint_id)
        size += _ID_BYTES * len(endpoint_id)
        if size > self._lru.maxsize:
            return False
        self._lru[endpoint_id] = _Held(value, size, mono_ms + self._age(endpoint_id))
        return True

    def replace(self, endpoint_id: str, value: V, size: int) -> None:
        """Stores ``value`` instead of what is there, in its place and with its age; KeyError without any.

        When this is too much, what was used least recently gives way, be it this.
        """
        lru = self._lru
        size += _ID_BYTES * len(endpoint_id)
        # LRUCache's own way to store would make it the most recently used.
        expires_ms = Cache.__getitem__(lru, endpoint_id).expires_ms
        Cache.__setitem__(lru, endpoint_id, _Held(value, 0, expires_ms))
        while endpoint_id in lru and lru.currsize + size > lru.maxsize:
            lru.popitem()
        if endpoint_id in lru:
            Cache.__setitem__(lru, endpoint_id, _Held(value, size, expires_ms))

    def remove(self, endpoint_id: str) -> None:
        """Drops what is held for the endpoint."""
        self._lru.pop(endpoint_id, None)

    def clear(self) -> None:
        """Drops everything."""
        self._lru.clear()

    def _age(self, endpoint_id: str) -> int:
        """The age bound, up to a tenth less by the ID, so that what was loaded together ages apart."""
        digest = blake2b(endpoint_id.encode(), digest_size=4, key=self._key).digest()
        return self._max_age_ms - (self._max_age_ms // 10 * int.from_bytes(digest, "little") >> 32)
