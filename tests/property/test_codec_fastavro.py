"""Both engines against fastavro, the oracle for well-formed messages."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import fastavro
from hypothesis import given
from hypothesis import strategies as st

from kaa_epr import schemas
from kaa_epr.engine.api import Kind
from tests.property.documents import endpoint, text
from tests.property.messages import Get, gets, keys
from tests.property.support import MONO, answers, ask, each_engine, load, started

REQUESTS = {
    revision: fastavro.parse_schema(schemas.load(f"epmmp/0019-endpoint-metadata-get-request.rev{revision}"))
    for revision in (1, 2, 3)
}
EVENTS = {
    Kind.METADATA_UPDATED: "0015-ep-metadata-updated",
    Kind.REGISTERED: "0009-ep-registered",
    Kind.UNREGISTERED: "0009-ep-unregistered",
    Kind.APP_VERSION_UPDATED: "0009-ep-appversion-updated",
}
words = st.text(max_size=8)
json_texts = st.none() | words


def written(schema: Any, record: dict[str, Any]) -> bytes:
    """A record in Avro, by fastavro."""
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, schema, record)
    return buffer.getvalue()


@each_engine
@given(
    revision=st.sampled_from([1, 2, 3]),
    correlation_id=words,
    endpoint_id=words,
    include=st.lists(keys, max_size=5),
    stored=st.dictionaries(keys, words, max_size=5),
)
def test_a_request_that_fastavro_wrote_gets_its_answer(
    make: str,
    revision: int,
    correlation_id: str,
    endpoint_id: str,
    include: list[str],
    stored: dict[str, str],
) -> None:
    record = {
        "correlationId": correlation_id,
        "timestamp": 1,
        "timeout": 0,
        "endpointId": endpoint_id,
        "include": include,
        "includeMetadata": True,
    }
    engine = started(make, plain_revision=min(revision, 2))
    assert ask(engine, written(REQUESTS[revision], record)) == b""
    document = endpoint(endpoint_id, [(key, text(value)) for key, value in stored.items()])
    [answer] = answers(load(engine, document), revision)
    assert (answer["statusCode"], answer["reasonPhrase"], answer["timeout"]) == (200, None, 0)
    assert (answer["correlationId"], answer["endpointId"]) == (correlation_id, endpoint_id)
    assert answer.get("eTag", '"1"') == '"1"'
    assert answer.get("appVersionName", "v1") == "v1"


@each_engine
@given(get=gets())
def test_what_is_well_formed_to_us_is_so_to_fastavro_and_means_the_same(make: str, get: Get) -> None:
    payload = get.encode()
    record = fastavro.schemaless_reader(BytesIO(payload), REQUESTS[1 if get.flag is None else 3], None)
    assert isinstance(record, dict)
    assert (record["correlationId"], record["endpointId"]) == (get.correlation_id, get.endpoint_id)
    assert record["include"] == list(get.include)
    engine = started(make)
    ask(engine, payload, wall_ms=get.timestamp)
    begun = engine.begin_load(1, MONO)
    assert begun == (1, [get.endpoint_id])


@each_engine
@given(data=st.data(), kind=st.sampled_from(list(EVENTS)), endpoint_id=words)
def test_an_event_that_fastavro_wrote_drops_its_entry(
    make: str, data: st.DataObject, kind: Kind, endpoint_id: str
) -> None:
    record = {
        "correlationId": data.draw(words),
        "timestamp": data.draw(st.integers(-(2**63), 2**63 - 1)),
        "timeout": 0,
        "appVersionName": data.draw(words),
        "previousAppVersionName": data.draw(words),
        "endpointId": endpoint_id,
        "removed": data.draw(st.dictionaries(words, json_texts, max_size=2)),
        "added": data.draw(st.dictionaries(words, json_texts, max_size=2)),
        "updated": {},
        "originatorReplicaId": data.draw(words),
    }
    schema = fastavro.parse_schema(schemas.load(f"events/{EVENTS[kind]}"))
    engine = started(make)
    get = Get(endpoint_id=endpoint_id).encode()
    ask(engine, get)
    load(engine, endpoint(endpoint_id, []))
    assert ask(engine, get) != b""
    engine.event(kind, b"", written(schema, record), MONO)
    assert ask(engine, get) == b""
    assert engine.stats()["events_undecodable"] == 0
