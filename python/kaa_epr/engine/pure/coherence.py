"""When an entry may be served and a load may be cached (ARCHITECTURE.md, "Coherence")."""

from __future__ import annotations

from kaa_epr.engine.api import EngineConfig
from kaa_epr.engine.pure.floors import Floors
from kaa_epr.engine.pure.limits import MAX_SETTLING
from kaa_epr.engine.pure.writers import Verdict, Writers


class Coherence:
    """The state of one responder's hearing. All times are monotonic milliseconds.

    The epoch grows when a connection is made or lost, when its event subscriptions are confirmed or lost, and
    with every flush: whoever makes it grow empties the cache and cuts the running flights.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._settle_ms = config.settle_ms
        self._foreign = Settling(config.foreign_settle_ms)
        self.writers = Writers(config.silence_ms, config.forget_ms)
        self.floors = Floors(config.cache_max_age_ms)
        self._connected = False
        self._settled_at_ms = 0
        self.epoch = 0
        self.hearing = False

    @property
    def may_serve(self) -> bool:
        """Whether entries may be served (rules 4 and 5)."""
        return self.hearing and self.writers.sound

    def may_cache(self, endpoint_id: str, mono_ms: int) -> bool:
        """Whether a load that begins now may be cached (rules 3 to 7)."""
        settled = mono_ms >= self._settled_at_ms or self.writers.all_heard
        held = self._foreign.holds(endpoint_id, mono_ms) or self.floors.may_lack(endpoint_id, mono_ms)
        return self.may_serve and settled and not held

    def connected(self, *, cluster: bool, mono_ms: int) -> None:
        """A connection was made: nothing survives the gap, and in a cluster it lasts longer (rule 3)."""
        self._connected = True
        self._settled_at_ms = mono_ms + self._settle_ms if cluster else 0
        self.writers.connected()
        self.hearing = False
        self.epoch += 1

    def disconnected(self) -> None:
        """The connection is gone, and with it every event from now on."""
        self._connected = False
        self.hearing = False
        self.epoch += 1

    def ears(self, *, hearing: bool, mono_ms: int) -> bool:
        """Whether every event subscription is confirmed (rule 4); returns whether that is news.

        A confirmation that comes when its connection is gone is none.
        """
        hearing = hearing and self._connected
        changed = hearing != self.hearing
        self.hearing = hearing
        self.epoch += changed
        if changed and hearing:
            self.writers.listening(mono_ms)
        return changed

    def passed(self, mono_ms: int) -> Verdict:
        """Time has passed: writers may have fallen silent (rule 5)."""
        return self.writers.passed(mono_ms) if self.hearing else Verdict()

    def flushed(self) -> None:
        """Everything before is void."""
        self.epoch += 1

    def foreign_event(self, endpoint_id: str, mono_ms: int) -> None:
        """An event without our headers (rules 6 and 7)."""
        self.floors.lower(endpoint_id)
        self._foreign.hold(endpoint_id, mono_ms)


class Settling:
    """Endpoints that are not cached for a while; when there are too many of them, none is."""

    def __init__(self, span_ms: int) -> None:
        self._span_ms = span_ms
        self._until_ms: dict[str, int] = {}
        self._all_until_ms = 0

    def holds(self, endpoint_id: str, mono_ms: int) -> bool:
        """Whether the endpoint settles at this time."""
        return mono_ms < max(self._all_until_ms, self._until_ms.get(endpoint_id, 0))

    def hold(self, endpoint_id: str, mono_ms: int) -> None:
        """The endpoint settles from now on. All settle equally long, so the oldest is first in the table."""
        self._until_ms.pop(endpoint_id, None)
        while self._until_ms:
            oldest = next(iter(self._until_ms))
            if self._until_ms[oldest] > mono_ms:
                break
            del self._until_ms[oldest]
        if len(self._until_ms) >= MAX_SETTLING:
            self._all_until_ms = mono_ms + self._span_ms
        else:
            self._until_ms[endpoint_id] = mono_ms + self._span_ms
