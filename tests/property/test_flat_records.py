"""Records of plain fields: what the core reads and writes is what the readers and writers in Python do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa_epr import schemas
from kaa_epr.messages.avro import AvroError, Datum
from kaa_epr.messages.outgoing import write_datum
from kaa_epr.register.epmmp.flat import flat_record
from tests.property.messages import mutations
from tests.property.support import needs_rust

pytestmark = needs_rust

EPMMP = "epmmp/0019-endpoint-metadata-"
NAMES = [
    f"{EPMMP}{name}"
    for name in ("key-update-request", "key-update-response", "patch-request", "patch-response")
]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bytes": st.binary(max_size=20),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "string": st.text(max_size=12),
}


def records(name: str) -> st.SearchStrategy[dict[str, Any]]:
    def values(kind: Any) -> st.SearchStrategy[Any]:
        return st.none() | VALUES["string"] if isinstance(kind, list) else VALUES[kind]

    return st.fixed_dictionaries(
        {field["name"]: values(field["type"]) for field in schemas.load(name)["fields"]}
    )


def read(name: str, data: bytes) -> dict[str, Any] | None:
    try:
        return Datum(schemas.load(name)).decode(data)
    except AvroError:
        return None


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_records_are_read_and_written_alike(name: str, data: st.DataObject) -> None:
    flat = flat_record(name)
    assert flat is not None
    record = data.draw(records(name))
    encoded = flat.encode(record)
    assert encoded == write_datum(name, record)
    assert flat.decode(encoded) == record == read(name, encoded)
    broken = data.draw(mutations(st.just(encoded)))
    assert flat.decode(broken) == read(name, broken)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(max_size=64))
def test_any_bytes_are_read_alike(name: str, data: bytes) -> None:
    flat = flat_record(name)
    assert flat is not None
    assert flat.decode(data) == read(name, data)


def test_a_record_of_other_fields_is_left_to_python() -> None:
    assert flat_record(f"{EPMMP}key-batch-update-request") is None


def test_what_does_not_fit_is_an_error() -> None:
    flat = flat_record(f"{EPMMP}key-update-response")
    assert flat is not None
    record = {"correlationId": "c", "timestamp": 1, "timeout": 0, "endpointId": "e", "reasonPhrase": None}
    with pytest.raises(KeyError):
        flat.encode(record)
    with pytest.raises(OverflowError):
        flat.encode(record | {"statusCode": 2**31})
    with pytest.raises(ValueError):
        flat.encode(record | {"statusCode": 200, "endpointId": "\ud800"})
