"""Which engine runs, and what is said when it is not the one that could have been."""

from __future__ import annotations

import logging
import pickle
import sys

import pytest

from kaa_epr.engine import EngineUnavailable, choose, select
from kaa_epr.engine.api import EngineConfig
from kaa_epr.engine.stats import BATCH_SIZE_BUCKETS, COUNTERS, GAUGES, WAIT_MS_BUCKETS
from tests.property.support import each_engine, needs_rust


@pytest.fixture
def no_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter in which the extension cannot be imported."""
    monkeypatch.setitem(sys.modules, "kaa_epr._core", None)


@needs_rust
def test_auto_is_rust_where_it_loads(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert select("auto", EngineConfig()).name == "rust"
    assert choose("auto") == choose("rust") == ("rust", None)
    assert caplog.records == []


@pytest.mark.usefixtures("no_extension")
def test_auto_falls_back_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    assert select("auto", EngineConfig()).name == "pure"
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "kaa_epr._core does not load" in record.getMessage()
    assert str(choose("auto").reason) in record.getMessage()


@pytest.mark.usefixtures("no_extension")
def test_rust_is_not_replaced_silently() -> None:
    with pytest.raises(EngineUnavailable, match="engine 'rust' is not available: the extension") as caught:
        select("rust", EngineConfig())
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_pure_needs_no_reason(caplog: pytest.LogCaptureFixture) -> None:
    assert select("pure", EngineConfig()).name == "pure"
    assert choose("pure") == ("pure", None)
    assert caplog.records == []


@each_engine
def test_every_engine_counts_by_the_shared_names(make: str) -> None:
    stats = select(make, EngineConfig()).stats()  # type: ignore[arg-type]
    assert set(stats) == {*COUNTERS, *GAUGES, "batch_sizes", "wait_ms"}
    assert stats["batch_sizes"] == [0] * (len(BATCH_SIZE_BUCKETS) + 1)
    assert stats["wait_ms"] == [0] * (len(WAIT_MS_BUCKETS) + 1)
