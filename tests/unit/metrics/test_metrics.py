"""The metrics' names and numbers, from statistics to Prometheus text."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kaa_epr.engine import stats as names
from kaa_epr.engine.api import EngineConfig
from kaa_epr.engine.pure import PureEngine
from kaa_epr.metrics import BuildInfo, LinkStats, Metrics, Stats, StoreStats, WitnessStats
from kaa_epr.metrics_table import BUILD_INFO, PROCESS_TABLE, REGISTER_TABLE, TABLE, markdown
from kaa_epr.nats.writer import Heartbeats, WriterNumbers
from kaa_epr.register.stats import Stats as RegisterCounts
from kaa_epr.service import Fleet
from kaa_epr.supervised import Supervisor

GOLDEN = Path(__file__).with_name("golden.txt")


def _statistics() -> dict[str, int | list[int]]:
    """Every counter and gauge its own number, whatever others there are, so that a mix-up shows."""
    numbers: dict[str, int | list[int]] = {
        name: crc32(name.encode()) for name in (*names.COUNTERS, *names.GAUGES)
    }
    numbers["batch_sizes"] = list(range(len(names.BATCH_SIZE_BUCKETS) + 1))
    numbers["wait_ms"] = [2] * (len(names.WAIT_MS_BUCKETS) + 1)
    return numbers


def _metrics(statistics: Stats | None = None) -> Metrics:
    given = _statistics() if statistics is None else statistics
    return Metrics(
        build=BuildInfo(version="1.2.3", engine="rust", driver="motor", python="3.11"),
        engine=lambda: given,
        link=lambda: LinkStats(True, True, True, 2, 1, 300, 40, 8, 9),
        store=lambda: StoreStats(True, 5, 6, 7),
        witness=lambda: WitnessStats(False, False, True, *range(11, 20)),
        process=lambda: {
            "task_failures": {("sweeper",): 3},
            "task_failing": {("sweeper",): 1},
            **Fleet(3, 2, 5, (1,)).numbers(),
        },
        worker=4,
    )


async def _unsent(_subject: str, _payload: bytes, _headers: dict[str, str]) -> None:
    raise AssertionError


def _own(text: str) -> str:
    """Without the process's metrics, which differ between machines."""
    return "\n".join(line for line in text.splitlines() if " process_" not in line and line[:8] != "process_")


def test_the_text_is_as_recorded() -> None:
    metrics = _metrics()
    metrics.observe_chunk(0.0003, 5)
    metrics.observe_chunk(7.0, 1)
    metrics.observe_load(0.5)
    metrics.observe_loop(0.03, 0.004)
    assert _own(metrics.render().decode()) + "\n" == GOLDEN.read_text()


def test_every_statistic_is_exposed_exactly_once() -> None:
    exposed = [key for row in TABLE if row.source == "engine" for key in row.samples.values()]
    assert sorted(exposed) == sorted((*names.COUNTERS, *names.GAUGES, "batch_sizes", "wait_ms"))
    for row in TABLE:
        if row.source == "engine" and row.kind != "histogram":
            expected = names.COUNTERS if row.kind == "counter" else names.GAUGES
            assert set(row.samples.values()) <= set(expected), row.name


def test_names_follow_the_conventions() -> None:
    for row in TABLE:
        assert row.name.startswith("kaa_epr_")
        assert not row.name.endswith("_total"), "the suffix is the library's to add"
        assert row.help.endswith(".")
        assert (row.label is None) == (list(row.samples) == [""])
        assert f"`{row.exposed_name}`" in markdown()
    assert f"`{BUILD_INFO}`" in markdown()


def test_prometheus_can_parse_it() -> None:
    families = {
        family.name: family for family in text_string_to_metric_families(_metrics().render().decode())
    }
    answers = {sample.labels["status"]: sample.value for sample in families["kaa_epr_answers"].samples}
    assert set(answers) == {"200", "400", "404", "413", "500", "503"}
    assert all(
        sample.labels["worker"] == "4"
        for family in families.values()
        if family.name.startswith("kaa_epr_")
        for sample in family.samples
    )
    assert "process_resident_memory_bytes" in families


@pytest.mark.parametrize(
    ("seconds", "bound"), [(0.000_01, "1e-05"), (0.000_011, "2.5e-05"), (0.5, "0.5"), (0.6, "+Inf")]
)
def test_observations_fall_into_the_bucket_they_do_not_exceed(seconds: float, bound: str) -> None:
    metrics = _metrics()
    metrics.observe_chunk(seconds, 10)
    buckets = {
        sample.labels["le"]: sample.value
        for family in metrics.collect()
        if family.name == "kaa_epr_chunk_seconds"
        for sample in family.samples
        if sample.name.endswith("_bucket")
    }
    assert next(le for le, count in buckets.items() if count) == bound
    assert buckets["+Inf"] == 10


def test_sums_of_the_engine_are_shown_where_it_keeps_them() -> None:
    statistics = _statistics() | {"wait_ms_sum": 2500, "batch_sizes_sum": 77}
    text = _metrics(statistics).render().decode()
    assert 'kaa_epr_wait_seconds_sum{worker="4"} 2.5\n' in text
    assert 'kaa_epr_load_batch_size_sum{worker="4"} 77.0\n' in text


def test_a_real_engine_has_all_of_it() -> None:
    engine = PureEngine(EngineConfig())
    text = _metrics(engine.stats()).render().decode()
    assert 'kaa_epr_requests_total{worker="4"} 0.0\n' in text


def test_two_workers_in_one_process_do_not_meet() -> None:
    first, second = _metrics(), _metrics()
    first.observe_load(1.0)
    assert 'kaa_epr_load_seconds_count{worker="4"} 1.0' in first.render().decode()
    assert 'kaa_epr_load_seconds_count{worker="4"} 0.0' in second.render().decode()


def test_the_register_tells_all_of_its_table_and_only_where_it_runs() -> None:
    stats = RegisterCounts()
    stats.ended("put_keys", "changed", 0.003)
    beats = Heartbeats(WriterNumbers("epr"), _unsent)
    told = {**stats.told(), "pending_bytes": 4096, "remembered_bytes": 0, **beats.numbers()}
    assert sorted(told) == sorted(row.key for row in REGISTER_TABLE)
    metrics = Metrics(
        build=BuildInfo(version="1.2.3", engine="rust", driver="motor", python="3.11"),
        engine=_statistics,
        link=LinkStats,
        store=StoreStats,
        witness=WitnessStats,
        process=lambda: {**Supervisor().numbers(), **Fleet().numbers()},
        register=lambda: told,
    )
    text = metrics.render().decode()
    for row in (*PROCESS_TABLE, *REGISTER_TABLE):
        assert f"# TYPE {row.exposed_name} {row.kind}" in text
        assert f"`{row.exposed_name}`" in markdown()
        assert row.help.endswith(".")
    counted = 'kaa_epr_register_changes_total{operation="put_keys",outcome="changed",worker="0"} 1.0'
    assert counted in text
    assert 'kaa_epr_register_change_seconds_bucket{le="0.005",worker="0"} 1.0' in text
    assert "kaa_epr_register" not in _metrics().render().decode()
