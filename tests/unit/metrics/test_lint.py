"""What Prometheus's own linter (`promtool check metrics`) asks of every metric's name, unit and help text."""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Iterator
from typing import Final

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from kaa_epr.engine import stats as names
from kaa_epr.metrics import BuildInfo, LinkStats, Metrics, Stats, StoreStats, TableMetrics, WitnessStats
from kaa_epr.metrics_table import TABLE
from kaa_epr.nats.writer import Heartbeats, WriterNumbers
from kaa_epr.observer.counts import OBSERVER_TABLE
from kaa_epr.register.stats import Stats as RegisterCounts
from kaa_epr.service import Fleet
from kaa_epr.supervised import Supervisor

NOT_BASE_UNITS: Final = re.compile(
    r"(nano|micro|milli|centi|deci|kilo|mega|giga|tera|kibi|mebi|gibi)(seconds?|bytes?|meters?|grams?|bits?)"
    r"|minutes?|hours?|days?|weeks?|bits?|kelvin|fahrenheit|percent"
    r"|ns|us|ms|s|sec|secs|min|mins|b|kb|mb|gb|tb|kib|mib|gib"
)
"""As a word of a name: seconds, bytes and ratios are what Prometheus counts in."""
TYPES: Final = {"gauge", "counter", "histogram", "summary"}
RESERVED_LABELS: Final = {"le", "quantile"}
SUFFIXES_OF_HISTOGRAMS: Final = ("_bucket", "_count", "_sum")


def _statistics() -> Stats:
    numbers: dict[str, int | list[int]] = dict.fromkeys((*names.COUNTERS, *names.GAUGES), 1)
    histograms = {"batch_sizes": names.BATCH_SIZE_BUCKETS, "wait_ms": names.WAIT_MS_BUCKETS}
    return numbers | {name: [1] * (len(bounds) + 1) for name, bounds in histograms.items()}


async def nothing(_subject: str, _payload: bytes, _headers: dict[str, str]) -> None:
    """Sends no heartbeat."""


def _rendered() -> Iterator[str]:
    counts = RegisterCounts()
    counts.ended("put_keys", "changed", 0.003)
    supervisor = Supervisor()
    beats = Heartbeats(WriterNumbers("epr"), nothing, supervisor)
    told = {**counts.told(), "pending_bytes": 4096, "remembered_bytes": 0, **beats.numbers()}
    yield (
        Metrics(
            build=BuildInfo(version="1.2.3", engine="rust", driver="motor", python="3.11"),
            engine=_statistics,
            link=LinkStats,
            store=StoreStats,
            witness=WitnessStats,
            process=lambda: {**supervisor.numbers(), **Fleet().numbers()},
            register=lambda: told,
        )
        .render()
        .decode()
    )
    numbers = dict.fromkeys((key for row in OBSERVER_TABLE for key in row.samples.values()), 1.0)
    yield TableMetrics(OBSERVER_TABLE, lambda: numbers).render().decode()


FAMILIES: Final = [family for text in _rendered() for family in text_string_to_metric_families(text)]
OURS: Final = [family for family in FAMILIES if family.name.startswith("kaa_epr_")]


def problems(family: Metric) -> Iterator[str]:
    """What the linter would say; the parser has taken ``_total`` off the counters' names."""
    if not family.documentation.strip():
        yield "no help text"
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", family.name):
        yield "not snake_case without colons"
    words = family.name.split("_")
    yield from (f"{word} is no base unit" for word in words if NOT_BASE_UNITS.fullmatch(word))
    yield from (f"the type {word} is in the name" for word in words if word in TYPES)
    if family.name.endswith(("_total", *SUFFIXES_OF_HISTOGRAMS)):
        yield "ends in a suffix that a type adds"
    histogram = family.type == "histogram"
    for sample in family.samples:
        if (family.type == "counter") != sample.name.endswith("_total"):
            yield "counters end in _total, and only they"
        bad = [label for label in sample.labels if not re.fullmatch(r"[a-z]+(_[a-z]+)*", label)]
        yield from (f"the label {label} is not snake_case" for label in bad)
        if not histogram and RESERVED_LABELS & set(sample.labels):
            yield "a label is reserved for histograms and summaries"


@pytest.mark.parametrize("family", OURS, ids=lambda family: family.name)
def test_the_linter_has_nothing_to_say(family: Metric) -> None:
    assert list(problems(family)) == []


def test_no_metric_comes_twice() -> None:
    assert [name for name, times in Tally(family.name for family in OURS).items() if times > 1] == []
    assert len(OURS) > len(TABLE)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("kaa_epr_age_milliseconds", "gauge"),
        ("kaa_epr_age_ms", "gauge"),
        ("kaa_epr_size_kilobytes", "gauge"),
        ("kaa_epr:age", "gauge"),
        ("kaa_epr_cacheHits", "gauge"),
        ("kaa_epr_hits_counter", "gauge"),
        ("kaa_epr_hits_count", "gauge"),
        ("kaa_epr_hits_total", "gauge"),
    ],
)
def test_the_linter_would_object(name: str, kind: str) -> None:
    family = Metric(name, "Some help.", kind)
    family.add_sample(name, {}, 1.0)
    assert list(problems(family))


def test_what_is_counted_in_milliseconds_is_shown_in_seconds() -> None:
    """Every source at once: what its name says, and what comes out."""
    shown = {row.name for row in TABLE for key in row.samples.values() if key.endswith("_ms")}
    assert shown
    for family in OURS:
        if family.name in shown and family.type == "gauge":
            assert family.name.endswith("_seconds")
            assert {sample.value for sample in family.samples} <= {0.001, 0.0}, family.name
