"""The language of filters, with mongod as the oracle: random queries over random documents."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from kaa_epr.embedded import MongoServer
from tests.support.filter_oracle import Oracle
from tests.support.filter_pairs import Maker

BLOCKS = int(os.environ.get("KAA_EPR_FILTER_BLOCKS", "10"))
"""Of 2,400 pairs each; ``bench/filters.py`` runs a million and stores what came of it."""


@pytest.fixture(scope="module")
def oracle(mongod: MongoServer) -> Iterator[Oracle]:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        yield Oracle(client["test_filters"]["language"])
        client.drop_database("test_filters")


@settings(max_examples=60)
@given(rng=st.randoms(use_true_random=False))
def test_a_filter_and_a_document(oracle: Oracle, rng: random.Random) -> None:
    """Few of each, so that what fails is small."""
    maker = Maker(rng)
    oracle.store([maker.endpoint(number) for number in range(5)])
    judged = [oracle.judge(maker.filter()) for _ in range(4)]
    assert set(judged) <= {0, 5}, "a query is held against every document, or refused"


def test_many_filters_and_documents(oracle: Oracle, rng: random.Random) -> None:
    """The seed is at the top of the run."""
    judged = 0
    for _ in range(BLOCKS):
        maker = Maker(rng)
        oracle.store([maker.endpoint(number) for number in range(60)])
        judged += sum(oracle.judge(maker.filter()) for _ in range(40))
    assert judged > BLOCKS * 1500
