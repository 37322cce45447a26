"""Rule 11: entries are compared with documents by a hash of all that answers are made of."""

from __future__ import annotations

import pytest

from kaa_epr.engine.api import FlushCause, Kind
from tests.property.diffs import Diff, exact_headers
from tests.property.documents import document, endpoint, int64, metadata_array, text
from tests.property.support import MONO, each_engine
from tests.unit.engine.test_applied import holding

STORED = [("a", int64(1)), ("b", int64(2))]


@each_engine
def test_an_entry_is_as_its_document_however_it_came_to_be(make: str) -> None:
    engine = holding(make, STORED)
    ((_, _, loaded),) = engine.fingerprints_of([endpoint("e-1", STORED, 1, "v1")])
    assert engine.fingerprints(["e-1", "e-2"]) == [("e-1", loaded)]
    diff = Diff(removed=[("a", "1")], updated=[("b", ("3", "2"))])
    engine.event(Kind.METADATA_UPDATED, exact_headers(), diff.encode(), MONO)
    found = engine.fingerprints_of([endpoint("e-1", [("b", int64(3))], 2, "v1")])
    assert engine.cached(["e-1"]) == [("e-1", 2)]
    assert found == [("e-1", 2, *dict(engine.fingerprints(["e-1"])).values())]
    engine.flush(FlushCause.OPERATOR)
    assert engine.fingerprints(["e-1"]) == []


@each_engine
@pytest.mark.parametrize(
    "other",
    [
        pytest.param(endpoint("e-2", STORED, 1, "v1"), id="id"),
        pytest.param(endpoint("e-1", STORED[::-1], 1, "v1"), id="order"),
        pytest.param(endpoint("e-1", [("a", int64(1)), ("b", int64(3))], 1, "v1"), id="value"),
        pytest.param(endpoint("e-1", STORED, 2, "v1"), id="version"),
        pytest.param(document([("_id", text("e-1")), ("metadata", metadata_array(STORED))]), id="no version"),
        pytest.param(endpoint("e-1", STORED, 1, "v2"), id="application version"),
        pytest.param(endpoint("e-1", STORED, 1, None), id="no application version"),
    ],
)
def test_whatever_an_answer_would_show_differs(make: str, other: bytes) -> None:
    engine = holding(make, STORED)
    ((_, fingerprint),) = engine.fingerprints(["e-1"])
    ((_, _, differing),) = engine.fingerprints_of([other])
    assert differing != fingerprint


@each_engine
def test_what_is_no_endpoint_is_left_out(make: str) -> None:
    tombstone = document([("_id", text("e-1")), ("deleted_at", int64(1))])
    unusable = document([("_id", text("e-1")), ("metadata", int64(1))])
    no_endpoints = [tombstone, unusable, document([])]
    engine = holding(make)
    known = endpoint("e-1", STORED, 1, "v1")
    found = engine.fingerprints_of([b"".join([*no_endpoints, known]), b"", known + b"\0\0\0\0" + known])
    assert [(endpoint_id, version) for endpoint_id, version, _ in found] == [("e-1", 1), ("e-1", 1)]
