"""Documents that are kept: within bytes, for some time, once."""

from __future__ import annotations

import pytest

from kaa_epr.register.commit import remembered
from kaa_epr.register.commit.remembered import Remembered

DOCUMENT = b"x" * 1000


def test_what_is_taken_is_not_kept_any_more() -> None:
    kept = Remembered(10_000)
    kept.keep("a", DOCUMENT)
    kept.keep("b", b"old")
    kept.keep("b", b"new")
    assert kept.take(["b", "c", "a"]) == {"b": b"new", "a": DOCUMENT}
    assert (kept.take(["a", "b"]), kept.size) == ({}, 0)


def test_the_oldest_go_where_there_is_no_room() -> None:
    kept = Remembered(5_000)
    for endpoint_id in "abc":
        kept.keep(endpoint_id, DOCUMENT)
    kept.keep("a", DOCUMENT)
    kept.keep("d", DOCUMENT)
    assert kept.size <= 5_000
    assert kept.take("abcd").keys() == {"a", "c", "d"}
    kept.keep("e", b"x" * 5_000)
    assert (kept.take("e"), kept.size) == ({}, 0)


def test_nothing_is_kept_within_no_bytes() -> None:
    kept = Remembered(0)
    kept.keep("a", b"")
    assert kept.take("a") == {}


def test_they_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Remembered(10_000)
    kept.keep("a", DOCUMENT)
    kept.forget(["a", "b"])
    monkeypatch.setattr(remembered, "MAX_AGE", 0.0)
    kept.keep("b", DOCUMENT)
    assert (kept.take("ab"), kept.size) == ({}, 0)
