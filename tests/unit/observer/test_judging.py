"""What an answer shows, for every relation of event, answer and store."""

from __future__ import annotations

import pytest

from kaa_epr.engine.api import Kind
from kaa_epr.observer.counts import Counts
from kaa_epr.observer.judging import UNKNOWN, UNUSABLE, Finding, State, Stored, found, judge
from kaa_epr.observer.limits import Rate
from kaa_epr.observer.told import Told, event_subjects, read_event

GONE = State(UNKNOWN)
ABSENT = Stored(GONE, None)
BROKEN = State(UNUSABLE)


def event(version: int | None, kind: Kind = Kind.METADATA_UPDATED) -> Told:
    return Told(kind, "e", version)


def says(version: int | None, content: bytes = b"") -> State:
    """The content follows from the version unless it is given."""
    return found(content or b"%d" % (version or 0), None if version is None else f'"{version}"', "v1")


def holds(version: int | None, content: bytes = b"") -> Stored:
    return Stored(says(version, content), version)


def tombstone(version: int) -> Stored:
    return Stored(GONE, version)


DELETED = Kind.UNREGISTERED
CASES = {
    "equal": (event(3), says(3), holds(3), Finding.FRESH),
    "older": (event(3), says(2), holds(3), Finding.OLDER),
    "older, and written again since": (event(3), says(2), holds(9), Finding.OLDER),
    "older, and deleted since": (event(3), says(2), tombstone(4), Finding.OLDER),
    "older, store silent": (event(3), says(2), None, Finding.OLDER),
    "newer than the event": (event(3), says(5), holds(5), Finding.FRESH),
    "as told, and written since": (event(3), says(3), holds(4), Finding.FRESH),
    "as told, store silent": (event(3), says(3), None, Finding.FRESH),
    "as told, deleted since": (event(3), says(3), tombstone(4), Finding.FRESH),
    "same version, other content": (event(3), says(3, b"x"), holds(3), Finding.DIFFERS),
    "an old primary is read": (event(3), says(3), holds(2), Finding.BEHIND),
    "both from an old primary or a backup": (event(3), says(2), holds(2), Finding.BEHIND),
    "answer newer than the store": (event(3), says(5), holds(4), Finding.BEHIND),
    "unknown, but it was not written since": (event(3), GONE, holds(3), Finding.OLDER),
    "unknown, perhaps deleted in between": (event(3), GONE, holds(4), Finding.RACED),
    "unknown, and it is": (event(3), GONE, tombstone(4), Finding.FRESH),
    "unknown, store silent": (event(3), GONE, None, Finding.OPEN),
    "unknown, and physically gone": (event(3), GONE, ABSENT, Finding.FRESH),
    "deleted": (event(3, DELETED), GONE, tombstone(3), Finding.FRESH),
    "deleted, store silent": (event(3, DELETED), GONE, None, Finding.FRESH),
    "deleted and still answered": (event(3, DELETED), says(2), tombstone(3), Finding.OLDER),
    "deleted, the last version answered": (event(3, DELETED), says(3), None, Finding.OLDER),
    "deleted and made again": (event(3, DELETED), says(4), holds(4), Finding.FRESH),
    "deleted, made again, not seen yet": (event(3, DELETED), GONE, holds(4), Finding.FRESH),
    "foreign, equal": (event(None), says(2), holds(2), Finding.FRESH),
    "foreign, other": (event(None), says(2), holds(3), Finding.DIFFERS),
    "foreign, store silent": (event(None), says(2), None, Finding.OPEN),
    "foreign document, equal": (event(None), says(None, b"x"), holds(None, b"x"), Finding.FRESH),
    "foreign document, other": (event(None), says(None, b"x"), holds(None, b"y"), Finding.DIFFERS),
    "foreign document after our event": (event(3), says(None, b"x"), holds(None, b"y"), Finding.DIFFERS),
    "older, but the store has no versions": (event(3), says(2), holds(None, b"y"), Finding.DIFFERS),
    "unusable, and it is": (event(3), BROKEN, Stored(BROKEN, None), Finding.FRESH),
    "unusable, and it is not": (event(3), BROKEN, holds(3), Finding.DIFFERS),
}


@pytest.mark.parametrize(("told", "answer", "stored", "finding"), CASES.values(), ids=CASES)
def test_finding(told: Told, answer: State, stored: Stored | None, finding: Finding) -> None:
    assert judge(told, answer, stored) is finding


def test_only_versions_or_an_unwritten_store_prove_an_older_answer() -> None:
    """Whatever the store holds in a later version, an answer at the event's version is never called older."""
    for stored_version in range(3, 9):
        for answered in range(3, 9):
            assert judge(event(3), says(answered), holds(stored_version)) is not Finding.OLDER
            assert judge(event(3), says(answered), tombstone(stored_version)) is not Finding.OLDER


def test_a_state_keeps_no_value() -> None:
    assert "s3cr3t" not in repr(found(b'{"k":"s3cr3t"}', '"1"', "v1"))


def test_further_events_are_told_from_repeats() -> None:
    assert event(4).follows(event(3))
    assert not event(3).follows(event(3))
    assert not event(2).follows(event(3)), "late"
    assert event(None).follows(event(3))
    assert event(2).follows(event(None))


def test_what_names_no_endpoint_is_no_event() -> None:
    assert read_event(Kind.REGISTERED, {}, b"\x02") is None


def test_subjects_of_every_originator() -> None:
    assert sorted(event_subjects(["a", "*"])) == sorted(
        f"kaa.v1.events.{originator}.endpoint.{tail}"
        for originator in ("a", "*")
        for tail in (
            "metadata.updated",
            "lifecycle.registered",
            "lifecycle.unregistered",
            "lifecycle.appversion-updated",
        )
    )


def test_staleness_counts_once_under_each_threshold_that_it_exceeds() -> None:
    counts = Counts()
    before = None
    for seconds in (0.0, 0.5, 1.0, 1.1, 9.0, 10.5, 61.0, 70.0):
        counts.staleness(before, seconds)
        before = seconds
    counts.staleness(None, 12.0)
    assert counts.stale == {0.0: 2, 1.0: 2, 10.0: 2, 60.0: 1}
    assert counts.worst == 70


def test_rate_is_bounded_and_comes_back() -> None:
    rate = Rate(2, now=0)
    assert [rate.take(0) for _ in range(4)] == [True, True, False, False]
    assert [rate.take(0.5), rate.take(0.5)] == [True, False]
    assert [rate.take(100) for _ in range(3)] == [True, True, False]
