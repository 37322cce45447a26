"""Both halves of the second witness, as the service starts and stops them."""

from __future__ import annotations

from collections.abc import Callable

from kaa_epr.config.settings import Settings
from kaa_epr.engine.api import Engine
from kaa_epr.metrics import WitnessStats
from kaa_epr.mongo import Store
from kaa_epr.responder.witness.reader import ChangeStreamReader
from kaa_epr.responder.witness.scrubber import Scrubber
from kaa_epr.supervised import Supervisor


class Witness:
    """The reader of the change stream and the scrubber, each where the settings ask for it."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        settings: Settings,
        store_up: Callable[[], bool],
        supervisor: Supervisor,
    ) -> None:
        """``store_up`` says whether the store answers. A process that answers no reads has no witness."""
        invalidation, time_limit = settings.invalidation, settings.store.timeout
        serves = settings.responder.enabled
        wanted = serves and invalidation.change_stream
        self.reader = ChangeStreamReader(engine, store, time_limit, supervisor) if wanted else None
        rate = invalidation.scrub_per_second if serves else 0
        self.scrubber = (
            Scrubber(engine, store, rate, time_limit, store_up=store_up, supervisor=supervisor)
            if rate
            else None
        )

    @property
    def stream_state(self) -> str:
        """``off``, ``opening`` or ``open``."""
        if self.reader is None:
            return "off"
        return "open" if self.reader.problem is None else "opening"

    def start(self) -> None:
        """Begins, on the running loop."""
        for part in (self.reader, self.scrubber):
            if part is not None:
                part.work.start()

    async def stop(self) -> None:
        """Ends both."""
        for part in (self.reader, self.scrubber):
            if part is not None:
                await part.work.stop()

    def stats(self) -> WitnessStats:
        """For the metrics."""
        state = self.stream_state
        counts: dict[str, int] = {}
        if (reader := self.reader) is not None:
            counts |= {
                "changes": reader.changes,
                "resumes": reader.resumes,
                "restarts": reader.restarts,
                "behind_seconds": reader.behind_seconds,
                "answer_age_ms": reader.answer_age_ms,
            }
        if (scrubber := self.scrubber) is not None:
            counts |= {
                "scrub_same": scrubber.same,
                "scrub_suspected": scrubber.suspected,
                "scrub_cleared": scrubber.cleared,
                "scrub_proven": scrubber.proven,
            }
        return WitnessStats(
            stream_off=state == "off",
            stream_opening=state == "opening",
            stream_open=state == "open",
            **counts,
        )
