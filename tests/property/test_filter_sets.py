"""Sets of filters: what they leave out never matters; explanations agree with verdicts."""

from __future__ import annotations

import random

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa_epr._core import Filter, FilterError, FilterSet
from tests.property.documents import Raw, document, metadata_array, text
from tests.support.filter_pairs import KEYS, VERSIONS, Maker

randoms = st.randoms(use_true_random=False)


def filters(maker: Maker, count: int) -> list[Filter]:
    """As many that are accepted."""
    made: list[Filter] = []
    while len(made) < count:
        try:
            made.append(Filter(maker.filter()))
        except FilterError:
            continue
    return made


def positions(verdicts: bytes) -> list[int]:
    """The bits that are set."""
    bits = int.from_bytes(verdicts, "little")
    return [position for position in range(8 * len(verdicts)) if bits >> position & 1]


@given(rng=randoms)
def test_sets_give_the_verdicts_of_their_filters(rng: random.Random) -> None:
    maker = Maker(rng)
    each = filters(maker, 12)
    whole = FilterSet(each)
    for number in range(5):
        stored = maker.endpoint(number)
        expected = [position for position, one in enumerate(each) if one.matches(stored)]
        assert whole.matching(stored) == expected
        assert positions(whole.verdicts(stored)) == expected
        assert [one.explain(stored)[0] for one in each] == [one.matches(stored) for one in each]


@given(rng=randoms)
def test_changes_of_foreign_documents_lose_nothing(rng: random.Random) -> None:
    """Whatever two documents are: if one is not as the register writes them, or all that differs is named."""
    maker = Maker(rng)
    each = filters(maker, 8)
    old, new = maker.endpoint(0), maker.endpoint(0)
    was, is_now = ({p for p, one in enumerate(each) if one.matches(stored)} for stored in (old, new))
    whole = FilterSet(each)
    assert whole.changes(None, new, [], False) == (sorted(is_now), [])
    assert whole.changes(old, None, [], False) == ([], sorted(was))


@given(rng=randoms)
def test_a_change_evaluates_all_that_it_can_alter(rng: random.Random) -> None:
    maker = Maker(rng)
    each = filters(maker, 12)
    whole = FilterSet(each)
    before = {key: maker.value() for key in rng.sample(KEYS, rng.randrange(len(KEYS) + 1))}
    after = dict(before)
    for key in rng.sample(KEYS, rng.choice([0, 1, 1, 2])):
        if rng.randrange(3) == 0:
            after.pop(key, None)
        else:
            after[key] = maker.value()
    old_version, new_version = rng.choice(VERSIONS), rng.choice(VERSIONS)

    def stored(pairs: dict[str, Raw], version: str) -> bytes:
        fields = [("_id", text("e")), ("application_version", text(version))]
        return document([*fields, ("metadata", metadata_array(list(pairs.items())))])

    old, new = stored(before, old_version), stored(after, new_version)
    changed = [key for key in KEYS if before.get(key) != after.get(key)]
    was, is_now = ({p for p, one in enumerate(each) if one.matches(stored)} for stored in (old, new))
    matched, unmatched = whole.changes(old, new, changed, old_version != new_version)
    assert matched == sorted(is_now - was)
    assert unmatched == sorted(was - is_now)
    assert set(whole.affected(changed, old_version != new_version)) >= was ^ is_now


def test_limits_can_be_lowered_and_not_raised() -> None:
    query = bson.encode({"metadata": {"$in": [1, 2, 3]}})
    assert Filter(query, max_list=3).keys is None
    with pytest.raises(FilterError, match=r"^metadata\.\$in: is a list of more than 2 elements$"):
        Filter(query, max_list=2)
    with pytest.raises(FilterError, match=r"^query: is longer than 10 bytes$"):
        Filter(query, max_bytes=10)
    with pytest.raises(FilterError, match="nested deeper than 2 levels"):
        Filter(query, max_depth=2)
    with pytest.raises(FilterError, match="more than 0 conditions"):
        Filter(query, max_conditions=0)
    with pytest.raises(FilterError, match="more than 1 bytes"):
        Filter(bson.encode({"_id": {"$regex": "ab"}}), max_pattern=1)
    with pytest.raises(FilterError, match="more than 10000 elements"):
        Filter(bson.encode({"_id": {"$in": list(range(10_001))}}), max_list=1_000_000)


def test_explanations_show_what_was_seen() -> None:
    query = {"metadata": {"$elemMatch": {"key": "t", "value": {"$gt": 20}}}}
    stored = bson.encode({"metadata": [{"key": "city", "value": "Kyiv"}, {"key": "t", "value": 19}]})
    matches, [(place, holds, path, value)] = Filter(bson.encode(query)).explain(stored)
    assert (matches, holds) == (False, False)
    assert (place, path) == ("metadata.$elemMatch.value.$gt", "metadata.1.value")
    assert value is not None
    assert bson.decode(value) == {"value": 19}


def test_what_is_not_bson_is_an_error() -> None:
    compiled = Filter(bson.encode({"_id": 1}))
    whole = FilterSet([compiled])
    assert len(whole) == 1
    for judge in (compiled.matches, compiled.explain, whole.matching, whole.verdicts):
        with pytest.raises(ValueError, match=r"^malformed BSON$"):
            judge(b"\5\0\0\0\1")
