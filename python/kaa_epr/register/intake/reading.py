"""JSON of requests, read within the settings' limits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from kaa_epr.config.register import RegisterSettings
from kaa_epr.engine import EngineName
from kaa_epr.refusals import TooLarge
from kaa_epr.register.intake.api import Intake, JsonLimits, Value
from kaa_epr.register.intake.engines import select_intake
from kaa_epr.slices import Turns

SHORT_TEXT: Final = 16 * 1024
"""Bytes that are read in less than half a millisecond. Of longer texts one is read a turn of the loop."""
LONG_TEXT: Final = 1024 * 1024
"""Bytes that are read in less than 10 ms whatever they hold; longer texts are read in a thread."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One intake and its limits."""

    intake: Intake
    limits: JsonLimits
    batch_limits: JsonLimits
    """Of batch registrations."""
    max_keys: int
    """Of an endpoint's metadata."""
    turns: Turns = field(default_factory=Turns)

    def is_short(self, text: bytes) -> bool:
        """Whether it may be read by ``short``."""
        return len(text) <= SHORT_TEXT

    def short(self, text: bytes, field: str, *, envelope: int = 0) -> Value:
        """As ``value``, of a text that does not hold up others."""
        return self.intake.parse_json(text, field, self.limits, envelope=envelope)

    async def value(
        self,
        text: bytes,
        field: str,
        *,
        prefix: str | None = None,
        envelope: int = 0,
        is_batch: bool = False,
    ) -> Value:
        """See ``Intake.parse_json``. Long texts do not hold up others, nor do many at once."""
        limits = self.batch_limits if is_batch else self.limits
        read = partial(self.intake.parse_json, text, field, limits, prefix=prefix, envelope=envelope)
        if self.is_short(text):
            return read()
        if len(text) > LONG_TEXT:
            return await asyncio.to_thread(read)
        async with self.turns:
            return read()

    def keys(self, metadata: Value) -> Sequence[tuple[str, Value]]:
        """Keys and values of an object. Raises ``TooLarge`` before too many of them are looked at."""
        if metadata.count > self.max_keys:
            raise TooLarge("metadata", f"more than {self.max_keys} keys")
        return metadata.items()


def reading_of(settings: RegisterSettings, engine: EngineName) -> Reading:
    """The intake that the settings ask for, and its limits."""
    times = math.ceil(settings.rest.max_batch_bytes / settings.rest.max_body_bytes)
    return Reading(
        select_intake(engine),
        JsonLimits(settings.max_depth, settings.max_values),
        JsonLimits(settings.max_depth, settings.max_values * times),
        settings.max_keys,
    )
