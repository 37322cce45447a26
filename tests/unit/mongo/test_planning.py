"""Which write makes a stored document say what a line says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Int64
from pymongo import InsertOne, UpdateOne

from kaa_epr.mongo.api import WriteFailure
from kaa_epr.mongo.documents import Endpoint, new_document
from kaa_epr.mongo.transfer.planning import is_race, plan, reason_of

BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENDPOINT = Endpoint("e", "app", "v1", None, {"a": 1, "b": 2.5})
STORED = new_document(ENDPOINT, BEFORE)


def change_of(endpoint: Endpoint, stored: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Condition and update, or None for an unchanged document."""
    planned = plan(endpoint, bson.encode(stored), NOW)
    if planned is None:
        return None
    assert isinstance(planned.write, UpdateOne)
    assert not planned.creates
    assert isinstance(planned.write._doc, dict)
    return dict(planned.write._filter), planned.write._doc


def with_(**changes: Any) -> Endpoint:
    values = {
        "id": "e",
        "application": "app",
        "application_version": "v1",
        "endpoint_token": None,
        "metadata": ENDPOINT.metadata,
    }
    return Endpoint(**(values | changes))


def test_a_new_endpoint() -> None:
    planned = plan(ENDPOINT, None, NOW)
    assert planned is not None
    assert planned.creates
    assert planned.write == InsertOne(new_document(ENDPOINT, NOW))


def test_an_equal_one_is_left_alone() -> None:
    assert change_of(ENDPOINT, STORED) is None
    assert change_of(ENDPOINT, STORED | {"outbox": [1], "extra": 2, "deleted_at": None}) is None


@pytest.mark.parametrize(
    "metadata",
    [
        {"b": 2.5, "a": 1},  # another order
        {"a": 1.0, "b": 2.5},  # another kind
        {"a": Int64(1), "b": 2.5},
        {"a": True, "b": 2.5},
        {"a": 1},
        {},
    ],
)
def test_any_difference_in_the_metadata_is_a_change(metadata: dict[str, Any]) -> None:
    items = [{"key": key, "value": value} for key, value in metadata.items()]
    assert change_of(with_(metadata=metadata), STORED) == (
        {"_id": "e", "version": 1},
        {"$inc": {"version": 1}, "$set": {"metadata": items, "metadata_updated_at": NOW}},
    )


def test_the_application_version_has_a_date_of_its_own() -> None:
    assert change_of(with_(application_version="v2"), STORED) == (
        {"_id": "e", "version": 1},
        {"$inc": {"version": 1}, "$set": {"application_version": "v2", "app_version_registered_at": NOW}},
    )


def test_what_a_line_leaves_out_goes() -> None:
    assert change_of(with_(application=None), STORED | {"endpoint_token": "t"}) == (
        {"_id": "e", "version": 1},
        {"$inc": {"version": 1}, "$unset": {"application": "", "endpoint_token": ""}},
    )


def test_a_tombstone_goes_on_from_its_version() -> None:
    found = change_of(ENDPOINT, {"_id": "e", "version": Int64(7), "deleted_at": BEFORE})
    assert found is not None
    condition, change = found
    assert condition == {"_id": "e", "version": 7}
    assert change["$inc"] == {"version": 1}
    assert change["$unset"] == {"deleted_at": ""}
    assert change["$set"] == {
        key: value for key, value in new_document(ENDPOINT, NOW).items() if key not in ("_id", "version")
    }


def test_a_document_without_version_gets_one() -> None:
    found = change_of(with_(metadata={}), {key: STORED[key] for key in STORED if key != "version"})
    assert found is not None
    assert found[0] == {"_id": "e", "version": {"$exists": False}}


def test_a_plain_sub_document_becomes_the_array() -> None:
    found = change_of(ENDPOINT, STORED | {"metadata": dict(ENDPOINT.metadata)})
    assert found is not None
    assert found[1]["$set"]["metadata"] == ENDPOINT.items()


def test_an_unusable_document_is_replaced() -> None:
    broken = bson.encode(STORED | {"metadata": [{"key": "a", "value": "XX"}]}).replace(b"XX", b"\xff\xff")
    planned = plan(ENDPOINT, broken, NOW)
    assert planned is not None
    assert isinstance(planned.write, UpdateOne)
    assert planned.write._filter == {"_id": "e", "version": 1}
    assert isinstance(planned.write._doc, dict)
    assert planned.write._doc["$set"]["metadata"] == ENDPOINT.items()


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (WriteFailure(0, 11000, ("application", "endpoint_token")), "endpointToken: another endpoint"),
        (WriteFailure(0, 11000, ("serial",)), "another document has the same serial"),
        (WriteFailure(0, 11000, ()), "another document has the same unique field"),
        (WriteFailure(0, 14, ()), "version is not a number"),
        (WriteFailure(0, 10334, ()), "limit of 16 MiB"),
        (WriteFailure(0, 121, ()), "validation rules"),
        (WriteFailure(0, 13, ()), "code 13"),
    ],
)
def test_reasons(failure: WriteFailure, reason: str) -> None:
    assert reason in reason_of(failure)
    assert not is_race(failure)


def test_a_race_to_create() -> None:
    assert is_race(WriteFailure(0, 11000, ("_id",)))
