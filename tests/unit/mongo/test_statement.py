"""The bytes of a conditional write."""

from __future__ import annotations

from typing import Any

import bson
import pytest

from kaa_epr.mongo.api import Statement


@pytest.mark.parametrize("update", [{}, {"$set": {"é": "x" * 1000}, "$unset": {"a": ""}}])
def test_a_statement_is_what_the_driver_would_make_of_it(update: dict[str, Any]) -> None:
    condition = {"_id": "e", "version": bson.Int64(3)}
    made = Statement(bson.encode(condition), bson.encode(update))
    assert made.bson == bson.encode({"q": condition, "u": update, "upsert": True})
    assert made.size == len(made.bson)
