"""What a document may hold, and how a refusal is worded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Int64

from kaa_epr.mongo.documents import (
    MAX_DEPTH,
    MAX_DOCUMENT,
    MAX_ID_LENGTH,
    MAX_NAME_LENGTH,
    METADATA_LEVELS,
    DocumentInvalid,
    Endpoint,
    check_endpoint,
    new_document,
)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        (Endpoint(""), "endpointId: only the characters"),
        (Endpoint("a b"), "endpointId: only the characters"),
        (Endpoint("a\n"), "endpointId: only the characters"),
        (Endpoint("é"), "endpointId: only the characters"),
        (Endpoint("x" * (MAX_ID_LENGTH + 1)), "endpointId: longer than 4096"),
        (Endpoint("e", application=""), "application: is empty"),
        (Endpoint("e", application="a\0b"), "application: holds a NUL"),
        (Endpoint("e", application_version="é" * 513), "application_version: longer than 1024 bytes"),
        (Endpoint("e", endpoint_token="\ud800"), "endpoint_token: holds half a surrogate"),
        (Endpoint("e", metadata={"": 1}), "metadata: a key is empty"),
        (Endpoint("e", metadata={"a\0b": 1}), r"metadata.a\x00b: the name holds a NUL"),
        (Endpoint("e", metadata={"a\ud800": 1}), r"metadata.a\ud800: holds half a surrogate"),
        (Endpoint("e", metadata={"k": "\udfff"}), "metadata.k: holds half a surrogate"),
        (Endpoint("e", metadata={"k": {"a": [0, 2**63]}}), "metadata.k.a.1: the integer does not fit"),
        (Endpoint("e", metadata={"k": -(2**63) - 1}), "metadata.k: the integer does not fit"),
        (Endpoint("e", metadata={"k": {"a\0b": 1}}), r"metadata.k.a\x00b: the name holds a NUL"),
        (Endpoint("e", metadata={"k": nested(MAX_DEPTH - METADATA_LEVELS + 1)}), "nested deeper than 100"),
        (Endpoint("e", metadata={"k": {1, 2}}), "metadata: not storable (InvalidDocument)"),
        (Endpoint("e", metadata={"k": "x" * MAX_DOCUMENT}), "metadata: the document would take 1677"),
    ],
)
def test_refusals_name_field_and_reason(endpoint: Endpoint, message: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        check_endpoint(endpoint)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint("x" * MAX_ID_LENGTH),
        Endpoint("aZ09._~-"),
        Endpoint("e", application="x" * MAX_NAME_LENGTH),
        Endpoint("e", metadata={"k": [2**63 - 1, -(2**63), "\0", "😀", None, True, 1.5, {"": {"": 1}}]}),
        Endpoint("e", metadata={"$a.b": {"$c": 1, "d.e": 2}}),
        Endpoint("e", metadata={"k": nested(MAX_DEPTH - METADATA_LEVELS)}),
    ],
)
def test_what_may_be_stored(endpoint: Endpoint) -> None:
    size = check_endpoint(endpoint)
    assert size == len(bson.encode(new_document(endpoint, datetime(2026, 1, 1, tzinfo=UTC))))


def test_the_largest_document() -> None:
    room = MAX_DOCUMENT - check_endpoint(Endpoint("e", metadata={"k": ""}))
    assert check_endpoint(Endpoint("e", metadata={"k": "x" * room})) == MAX_DOCUMENT
    with pytest.raises(DocumentInvalid):
        check_endpoint(Endpoint("e", metadata={"k": "x" * (room + 1)}))


def test_the_shape() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    endpoint = Endpoint("e", "app", "v1", "token", {"b": 1, "a": [2]})
    assert new_document(endpoint, now) == {
        "_id": "e",
        "application": "app",
        "application_version": "v1",
        "endpoint_token": "token",
        "metadata": [{"key": "b", "value": 1}, {"key": "a", "value": [2]}],
        "version": 1,
        "created_at": now,
        "metadata_updated_at": now,
        "app_version_registered_at": now,
    }
    assert isinstance(new_document(endpoint, now)["version"], Int64)
    assert sorted(new_document(Endpoint("e"), now)) == [
        "_id",
        "created_at",
        "metadata",
        "metadata_updated_at",
        "version",
    ]
