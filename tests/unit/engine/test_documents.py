"""Stored documents, ours and foreign ones (ARCHITECTURE.md, "Stored documents"), in both engines."""

from __future__ import annotations

import pytest

from tests.property.documents import Raw, document, double, endpoint, int64, metadata_array, text
from tests.property.messages import Get
from tests.property.support import MONO, WALL, answers, ask, each_engine, frames, load, response, started

PAIRS = [("serial", text("A1")), ("location", text("lab")), ("load", double(27.0))]
STORED = endpoint("e-1", PAIRS, version=42, app="app-v1")


@each_engine
def test_an_unusable_document_harms_nobody_else(make: str) -> None:
    engine = started(make)
    bad = document([("_id", text("e-2")), ("metadata", int64(1))])
    for name in ("e-1", "e-2", "e-3"):
        ask(engine, Get(endpoint_id=name).encode(), reply=name)
    begun = engine.begin_load(10, MONO)
    assert begun == (1, ["e-1", "e-2", "e-3"])
    assert engine.end_load(1, [bad, STORED], wall_ms=WALL, mono_ms=MONO) == ["e-2"]
    status = {each.subject: response(each.payload) for each in frames(engine.take_output())}
    assert {name: each["statusCode"] for name, each in status.items()} == {"e-1": 200, "e-2": 500, "e-3": 404}
    assert status["e-2"]["reasonPhrase"] == "Stored endpoint is unusable"
    assert engine.stats()["unusable_documents"] == 1
    assert ask(engine, Get(endpoint_id="e-2").encode()) == b"", "not cached"


@each_engine
@pytest.mark.parametrize(
    ("fields", "status", "etag", "app", "payload"),
    [
        ([], 200, None, None, b"{}"),
        ([("metadata", Raw(10, b""))], 200, None, None, b"{}"),
        ([("metadata", Raw(3, document([("a", int64(1))])))], 200, None, None, b'{"a":1}'),
        ([("metadata", text("x"))], 500, None, None, None),
        ([("metadata", Raw(4, document([("0", int64(1))])))], 500, None, None, None),
        ([("metadata", metadata_array([])), ("metadata", text("x"))], 500, None, None, None),
        (
            [("metadata", Raw(4, document([("0", Raw(3, document([("key", int64(1))])))])))],
            500,
            None,
            None,
            None,
        ),
        (
            [
                (
                    "metadata",
                    Raw(4, document([("x", Raw(3, document([("at", int64(1)), ("key", text("a"))])))])),
                )
            ],
            200,
            None,
            None,
            b'{"a":null}',
        ),
        ([("version", Raw(16, b"\5\0\0\0"))], 200, '"5"', None, b"{}"),
        ([("version", int64(-(2**63)))], 200, '"-9223372036854775808"', None, b"{}"),
        ([("version", double(3.0))], 200, '"3"', None, b"{}"),
        ([("version", double(-0.0))], 200, '"0"', None, b"{}"),
        ([("version", double(3.5))], 500, None, None, None),
        ([("version", double(2.0**63))], 500, None, None, None),
        ([("version", double(float("nan")))], 500, None, None, None),
        ([("version", text("3"))], 500, None, None, None),
        ([("version", Raw(8, b"\1"))], 500, None, None, None),
        ([("version", Raw(10, b""))], 200, None, None, b"{}"),
        ([("application_version", text("v"))], 200, None, "v", b"{}"),
        ([("application_version", text(""))], 200, None, "", b"{}"),
        ([("application_version", Raw(10, b""))], 200, None, None, b"{}"),
        ([("application_version", int64(1))], 500, None, None, None),
        ([("deleted_at", Raw(10, b""))], 200, None, None, b"{}"),
        ([("deleted_at", Raw(8, b"\0"))], 404, None, None, None),
        ([("other", Raw(2, b"\2\0\0\0\xff\0"))], 500, None, None, None),
        ([("other", Raw(8, b"\2"))], 500, None, None, None),
        ([("metadata", metadata_array([("a", Raw(2, b"\2\0\0\0\xff\0"))]))], 500, None, None, None),
    ],
)
def test_foreign_documents(
    make: str,
    fields: list[tuple[str, Raw]],
    status: int,
    etag: str | None,
    app: str | None,
    payload: bytes | None,
) -> None:
    engine = started(make)
    ask(engine, Get().encode())
    [answer] = answers(load(engine, document([("_id", text("e-1")), *fields])))
    assert answer["statusCode"] == status
    assert (answer["eTag"], answer["appVersionName"], answer["payload"]) == (etag, app, payload)


@each_engine
def test_documents_that_nobody_asked_for_are_ignored(make: str) -> None:
    engine = started(make)
    ask(engine, Get().encode())
    strange = document([("_id", int64(1))]) + document([]) + endpoint("e-9", PAIRS)
    assert answers(load(engine, strange + STORED + endpoint("e-1", [])))[0]["eTag"] == '"42"'
    assert ask(engine, Get(endpoint_id="e-9").encode()) == b""
