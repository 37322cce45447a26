"""Reading the answer to a find without decoding its documents."""

from __future__ import annotations

import bson
import pytest
from bson import Int64, ObjectId, Timestamp
from bson.errors import InvalidBSON
from hypothesis import given
from hypothesis import strategies as st

from kaa_epr.mongo.reply import first_batch, join_array, join_array_plainly

documents = st.lists(st.dictionaries(st.sampled_from("abc"), st.text(max_size=5)), max_size=120)


def array(contents: list[dict[str, str]]) -> bytes:
    return bson.encode({str(index): content for index, content in enumerate(contents)})


@given(documents, st.integers(-(2**63), 2**63 - 1))
def test_the_documents_come_out_as_they_went_in(contents: list[dict[str, str]], cursor: int) -> None:
    answer = bson.encode({"firstBatch": contents, "id": Int64(cursor), "ns": "db.c"})
    assert first_batch(answer) == (b"".join(map(bson.encode, contents)), cursor)
    assert first_batch(memoryview(answer)) == first_batch(answer)


@given(documents)
def test_the_plain_and_the_fast_way_agree(contents: list[dict[str, str]]) -> None:
    assert join_array(array(contents)) == join_array_plainly(array(contents))


def test_fields_in_any_order_and_unknown_ones() -> None:
    answer = bson.encode(
        {
            "ns": "db.c",
            "partialResultsReturned": True,
            "atClusterTime": Timestamp(1, 2),
            "id": Int64(0),
            "postBatchResumeToken": {"_data": "x"},
            "more": [1, b"raw", None, 1.5, ObjectId(), 7],
            "binary": b"raw",
            "double": 1.5,
            "int": 7,
            "oid": ObjectId(),
            "null": None,
            "firstBatch": [{"a": 1}],
        }
    )
    assert first_batch(answer) == (bson.encode({"a": 1}), 0)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"id": Int64(0)},
        {"firstBatch": []},
        {"firstBatch": [], "id": 0},
        {"firstBatch": {}, "id": Int64(0)},
        {"firstBatch": [], "id": Int64(0), "code": bson.Code("x")},
    ],
)
def test_what_is_no_cursor_is_refused(answer: dict[str, object]) -> None:
    with pytest.raises(InvalidBSON):
        first_batch(bson.encode(answer))


def test_every_truncation_is_refused() -> None:
    answer = bson.encode({"firstBatch": [{"a": "b"}, {}], "id": Int64(1), "ns": "db.c"})
    for end in range(len(answer)):
        with pytest.raises(InvalidBSON):
            first_batch(answer[:end])


def test_every_truncated_array_is_refused_plainly() -> None:
    content = array([{"a": "b"}, {}])
    for end in range(6, len(content)):
        with pytest.raises(InvalidBSON):
            join_array_plainly(content[:end])


@pytest.mark.parametrize("element", [5, "text", [1]])
def test_an_array_of_other_things_is_refused_plainly(element: object) -> None:
    with pytest.raises(InvalidBSON, match="not a document"):
        join_array_plainly(bson.encode({"0": element}))


def test_a_document_longer_than_its_array_is_refused_plainly() -> None:
    content = bytearray(array([{"a": "b"}]))
    content[7] += 1
    with pytest.raises(InvalidBSON, match="past the end"):
        join_array_plainly(bytes(content))
