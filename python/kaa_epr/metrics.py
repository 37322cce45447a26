"""Prometheus metrics of one worker, collected when somebody asks.

``metrics_table.TABLE`` lists them. The counters live where things happen (the engine, the link, the store's
breaker); here they get their names, which begin with ``kaa_epr_``, and the label ``worker``. ``process_*``
are the client library's usual ones.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from kaa_epr.engine.stats import BATCH_SIZE_BUCKETS, WAIT_MS_BUCKETS
from kaa_epr.metrics_table import (
    BUILD_INFO,
    BUILD_INFO_HELP,
    PROCESS_TABLE,
    REGISTER_TABLE,
    TABLE,
    CountedRow,
    Row,
)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

CHUNK_SECONDS_BUCKETS: Final = (
    *(0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5),
    *(0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5),
)
LOOP_SECONDS_BUCKETS: Final = (0.001, 0.002_5, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
LOAD_SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)

Stats = Mapping[str, int | list[int]]


@dataclass(frozen=True, slots=True)
class LinkStats:
    """What the link counts; booleans count as 0 and 1."""

    up: bool = False
    """A connection to a NATS server is established."""
    ears: bool = False
    """The server confirmed every event subscription of this connection."""
    fast_path: bool = False
    """The core reads the connection itself."""
    connects: int = 0
    """Connections established since start."""
    disconnects: int = 0
    """Connections lost since start."""
    bytes_read: int = 0
    write_buffer_bytes: int = 0
    """Bytes not yet taken by the operating system."""
    overflow_requests: int = 0
    """Requests dropped because nats-py's queue before their callback was full."""
    overflow_events: int = 0
    """Events dropped likewise; each flushed the cache."""


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What the loader and its breaker count."""

    up: bool = False
    """The store answers; false while the breaker is open."""
    trips: int = 0
    """Times the store was declared down."""
    probes: int = 0
    """Times a store that was down was asked whether it is back."""
    abandoned_loads: int = 0
    """Loads given up that the driver has not ended yet."""


@dataclass(frozen=True, slots=True)
class WitnessStats:
    """What the change stream's reader and the scrubber count."""

    stream_off: bool = True
    """No change stream was asked for."""
    stream_opening: bool = False
    """It is not open, and tried again and again."""
    stream_open: bool = False
    changes: int = 0
    """Changes it told of."""
    resumes: int = 0
    """Times it went on where it was after an interruption."""
    restarts: int = 0
    """Times it could not and began anew, the cache dropped."""
    behind_seconds: int = 0
    """How old the last change was by MongoDB's clock when it came."""
    answer_age_ms: int = 0
    """Since MongoDB last answered."""
    scrub_same: int = 0
    """Entries found as the store has them."""
    scrub_suspected: int = 0
    """Entries that differ; to be looked at again."""
    scrub_cleared: int = 0
    """Of these, gone or right when looked at again."""
    scrub_proven: int = 0
    """Of these, still there and still different: dropped."""


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """What runs; the labels of ``kaa_epr_build_info``."""

    version: str
    engine: str
    driver: str
    python: str = platform.python_version()


class Buckets:
    """A histogram that costs a bisection per observation."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds``: upper ends, ascending."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Counts ``value``, ``times`` over."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times


Counted = int | float | Mapping[tuple[str, ...], int] | Buckets
"""One number, one for each combination of labels, or a distribution."""
CountedStats = Mapping[str, Counted]
"""By the keys of ``REGISTER_TABLE`` or ``PROCESS_TABLE``."""


class Metrics(Collector):
    """The metrics of one worker, in a registry of their own."""

    def __init__(
        self,
        *,
        build: BuildInfo,
        engine: Callable[[], Stats],
        link: Callable[[], LinkStats],
        store: Callable[[], StoreStats],
        witness: Callable[[], WitnessStats],
        process: Callable[[], CountedStats],
        worker: int = 0,
        register: Callable[[], CountedStats] | None = None,
    ) -> None:
        """``register``: None without that role."""
        self._build = build
        self._engine, self._link, self._store, self._witness = engine, link, store, witness
        self._counted = [(PROCESS_TABLE, process)]
        if register is not None:
            self._counted.append((REGISTER_TABLE, register))
        self._worker = str(worker)
        self._own = {
            "chunk_seconds": Buckets(CHUNK_SECONDS_BUCKETS),
            "load_seconds": Buckets(LOAD_SECONDS_BUCKETS),
            "loop_delay_seconds": Buckets(LOOP_SECONDS_BUCKETS),
            "loop_held_seconds": Buckets(LOOP_SECONDS_BUCKETS),
        }
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def observe_chunk(self, seconds: float, answers: int) -> None:
        """A chunk's ``answers`` were written ``seconds`` after it was read."""
        self._own["chunk_seconds"].observe(seconds, answers)

    @property
    def chunk_seconds(self) -> float:
        """Seconds that answers took inside the process, summed up over the answers."""
        return self._own["chunk_seconds"].sum

    def observe_load(self, seconds: float) -> None:
        """A load ended, well or not."""
        self._own["load_seconds"].observe(seconds, 1)

    def observe_loop(self, delay: float, held: float) -> None:
        """The loop came ``delay`` seconds late to a timer, of which this process held it for ``held``."""
        self._own["loop_delay_seconds"].observe(delay)
        self._own["loop_held_seconds"].observe(held)

    def render(self) -> bytes:
        """Everything in Prometheus's text format (``CONTENT_TYPE``)."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """One family for each row of the table, and the build."""
        sources: dict[str, Stats] = {
            "engine": self._engine(),
            "link": asdict(self._link()),
            "store": asdict(self._store()),
            "witness": asdict(self._witness()),
        }
        yield self._build_info()
        for row in TABLE:
            if row.kind == "histogram":
                yield self._histogram(row, sources["engine"])
            else:
                yield self._numbers(row, sources[row.source])
        for rows, count in self._counted:
            counted = count()
            yield from (self._family(row, counted[row.key]) for row in rows)

    def _family(self, row: CountedRow, value: Counted) -> Metric:
        names = ["worker", *row.labels]
        if isinstance(value, Buckets):
            family = HistogramMetricFamily(row.name, row.help, labels=names)
            family.add_metric([self._worker], _cumulative(value.bounds, value.counts), value.sum)
            return family
        family_of = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
        numbers = family_of(row.name, row.help, labels=names)
        for labels, number in ({(): value} if isinstance(value, int | float) else value).items():
            numbers.add_metric([self._worker, *labels], number)
        return numbers

    def _build_info(self) -> Metric:
        labels = {"worker": self._worker, **asdict(self._build)}
        family = GaugeMetricFamily(BUILD_INFO, BUILD_INFO_HELP, labels=list(labels))
        family.add_metric(list(labels.values()), 1)
        return family

    def _numbers(self, row: Row, stats: Stats) -> Metric:
        family_of = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
        names = ["worker"] if row.label is None else ["worker", row.label]
        family = family_of(row.name, row.help, labels=names)
        for label_value, key in row.samples.items():
            value = stats[key]
            assert not isinstance(value, list)
            family.add_metric([self._worker, label_value][: len(names)], value / _per_base_unit(key))
        return family

    def _histogram(self, row: Row, engine: Stats) -> Metric:
        bounds, counts, total = self._distribution(row.samples[""], engine)
        family = HistogramMetricFamily(row.name, row.help, labels=["worker"])
        family.add_metric([self._worker], _cumulative(bounds, counts), total)
        return family

    def _distribution(self, key: str, engine: Stats) -> tuple[Sequence[float], list[int], float | None]:
        if key in self._own:
            own = self._own[key]
            return own.bounds, own.counts, own.sum
        counts = engine[key]
        total = engine.get(f"{key}_sum")
        assert isinstance(counts, list)
        assert not isinstance(total, list)
        per = _per_base_unit(key)
        bounds = [bound / per for bound in (WAIT_MS_BUCKETS if key == "wait_ms" else BATCH_SIZE_BUCKETS)]
        return bounds, counts, None if total is None else total / per


class TableMetrics(Collector):
    """Counters and gauges of one table, without the label ``worker``: for processes that are no workers."""

    def __init__(self, rows: Sequence[Row], numbers: Callable[[], Mapping[str, float]]) -> None:
        """``numbers`` has a number for every name in the rows' samples."""
        self._rows = rows
        self._numbers = numbers
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def render(self) -> bytes:
        """Everything in Prometheus's text format (``CONTENT_TYPE``)."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """One family for each row."""
        numbers = self._numbers()
        for row in self._rows:
            family_of = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
            family = family_of(row.name, row.help, labels=[] if row.label is None else [row.label])
            for label_value, key in row.samples.items():
                family.add_metric([] if row.label is None else [label_value], numbers[key])
            yield family


def _per_base_unit(key: str) -> int:
    """How many of the source's units are one of Prometheus's base units: sources count milliseconds too."""
    return 1000 if key.endswith("_ms") else 1


def _cumulative(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Prometheus's buckets: each holds those below it too."""
    names = [*map(str, map(float, bounds)), "+Inf"]
    return list(zip(names, accumulate(counts), strict=True))
