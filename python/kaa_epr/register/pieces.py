"""Long answers that are made while they are sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Self


class Told:
    """The pieces of one; it counts as under way as long as somebody holds this, however far it came."""

    def __init__(self, made: AsyncIterator[bytes]) -> None:
        self._made = made

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece."""
        return await anext(self._made)
