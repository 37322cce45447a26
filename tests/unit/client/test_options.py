"""Retry policy and limits."""

from __future__ import annotations

from typing import Any

import pytest

from kaa_epr.client import ClientOptions
from kaa_epr.client.options import MAX_SECONDS, check_seconds


def test_pauses_are_random_between_nothing_and_a_bound_that_doubles() -> None:
    options = ClientOptions(backoff=0.1, backoff_max=0.5)
    for failures, bound in ((1, 0.1), (2, 0.2), (3, 0.4), (4, 0.5), (2000, 0.5)):
        pauses = [options.pause(failures) for _ in range(300)]
        assert 0 <= min(pauses) < bound / 4
        assert bound * 3 / 4 < max(pauses) <= bound


def test_attempts_share_what_time_is_left_and_the_last_takes_the_rest() -> None:
    options = ClientOptions()
    assert options.patience(6.0, 3) == 2.0
    assert options.patience(6.0, 1) == 6.0


def test_an_attempt_timeout_is_kept_within_the_time_left() -> None:
    options = ClientOptions(attempt_timeout=2.0)
    assert options.patience(6.0, 5) == 2.0
    assert options.patience(1.5, 5) == 1.5
    assert options.patience(6.0, 1) == 6.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("revision", 0),
        ("revision", 4),
        ("max_in_flight", 0),
        ("attempt_timeout", 0.0),
        ("backoff", -1.0),
        ("backoff_max", float("nan")),
        ("backoff_max", MAX_SECONDS + 1.0),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        ClientOptions(**{name: value})


def test_seconds() -> None:
    assert check_seconds("t", MAX_SECONDS) == MAX_SECONDS
    assert check_seconds("t", 1e-9) == 1e-9


def test_connection_arguments_are_never_printed() -> None:
    assert "hunter2" not in repr(ClientOptions(connect={"password": "hunter2"}))
