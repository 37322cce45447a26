"""Every row of the README's table of answers, in its order, in both engines."""

from __future__ import annotations

import pytest

from kaa_epr.engine.api import Kind
from tests.property.documents import Raw, document, double, endpoint, text
from tests.property.messages import Get, event_payload, long, string
from tests.property.support import MONO, WALL, answers, ask, each_engine, frames, load, response, started

PAIRS = [("serial", text("A1")), ("location", text("lab")), ("load", double(27.0))]
STORED = endpoint("e-1", PAIRS, version=42, app="app-v1")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def found(revision: int, payload: bytes, etag: str = '"42"', app: str = "app-v1") -> bytes:
    """The bytes of a 200, written by hand."""
    head = string("c-1") + long(WALL) + b"\0" + string("e-1")
    middle = b"" if revision == 1 else b"\2" + string(etag)
    end = b"\2" + string(app) if revision == 3 else b""
    return head + middle + b"\2" + long(len(payload)) + payload + long(200) + b"\0" + end


@each_engine
@pytest.mark.parametrize(("revision", "flag"), [(1, None), (2, None), (3, True)])
def test_the_bytes_of_a_200_in_each_revision(make: str, revision: int, flag: bool | None) -> None:
    engine = started(make, plain_revision=1 if flag else revision)
    get = Get(flag=flag).encode()
    assert ask(engine, get, reply="_INBOX.x.1") == b""
    body = found(revision, b'{"serial":"A1","location":"lab","load":27.0}')
    wire = b"PUB _INBOX.x.1 %d\r\n%b\r\n" % (len(body), body)
    assert load(engine, STORED) == wire
    assert ask(engine, get, reply="_INBOX.x.1") == wire, "a hit is the same bytes"
    assert engine.stats()["hits"] == 1


@each_engine
def test_a_trace_context_is_repeated(make: str) -> None:
    engine = started(make)
    block = f"NATS/1.0\r\nOther: 1\r\nTraceParent:  {TRACE} \r\n\r\n".encode()
    ask(engine, Get().encode(), headers=block)
    body = found(3, b'{"serial":"A1","location":"lab","load":27.0}')
    out = f"NATS/1.0\r\ntraceparent: {TRACE}\r\n\r\n".encode()
    wire = b"HPUB r %d %d\r\n%b%b\r\n" % (len(out), len(out) + len(body), out, body)
    assert load(engine, STORED) == wire
    assert ask(engine, Get().encode(), headers=block) == wire


@each_engine
@pytest.mark.parametrize("value", ["", "a\x7fb", "x" * 257, "é"])
def test_a_trace_context_that_cannot_be_one_is_left_out(make: str, value: str) -> None:
    engine = started(make)
    ask(engine, Get().encode(), headers=f"NATS/1.0\r\ntraceparent: {value}\r\n\r\n".encode())
    assert load(engine, STORED).startswith(b"PUB ")


@each_engine
def test_no_headers_for_a_server_without(make: str) -> None:
    engine = started(make, headers=False)
    ask(engine, Get().encode(), headers=f"NATS/1.0\r\ntraceparent: {TRACE}\r\n\r\n".encode())
    assert load(engine, STORED).startswith(b"PUB ")


@each_engine
@pytest.mark.parametrize(
    ("include", "payload"),
    [
        ((), b'{"serial":"A1","location":"lab","load":27.0}'),
        (("load", "serial", "load"), b'{"serial":"A1","load":27.0}'),
        (("nothing",), b"{}"),
        (("Serial", ""), b"{}"),
    ],
)
def test_include_names_fields_in_stored_order(make: str, include: tuple[str, ...], payload: bytes) -> None:
    engine = started(make)
    ask(engine, Get().encode())
    load(engine, STORED)
    [answer] = answers(ask(engine, Get(include=include).encode()))
    assert (answer["statusCode"], answer["payload"]) == (200, payload)


@each_engine
def test_without_metadata_a_200_has_a_null_payload(make: str) -> None:
    engine = started(make)
    ask(engine, Get(flag=False).encode())
    [answer] = answers(load(engine, STORED))
    assert (answer["statusCode"], answer["payload"], answer["eTag"]) == (200, None, '"42"')
    assert answer["appVersionName"] == "app-v1"


@each_engine
def test_no_reply_subject_no_answer(make: str) -> None:
    engine = started(make)
    assert ask(engine, Get().encode(), reply="") == b""
    assert ask(engine, b"\xff", reply="") == b""
    stats = engine.stats()
    assert (stats["requests"], stats["requests_no_reply"], stats["misses"]) == (2, 2, 0)


@each_engine
@pytest.mark.parametrize(
    ("timestamp", "timeout", "expired"),
    [
        (WALL - 100, 99, True),
        (WALL - 100, 100, False),
        (WALL - 100, 0, False),
        (WALL - 100, -1, False),
        (WALL, 2**63 - 1, False),
        (2**63 - 1, 2**63 - 1, False),
        (-(2**63), 2**63 - 1, True),
        (-(2**63), -(2**63), False),
    ],
)
def test_expiry_on_arrival_hits_included(make: str, timestamp: int, timeout: int, expired: bool) -> None:
    engine = started(make)
    ask(engine, Get().encode())
    load(engine, STORED)
    wire = ask(engine, Get(timestamp=timestamp, timeout=timeout).encode())
    assert (wire == b"") == expired
    assert engine.stats()["requests_expired"] == expired


@each_engine
@pytest.mark.parametrize("ending", ["end", "fail", "tick", "store_down"])
def test_expiry_is_checked_again_when_the_load_ends(make: str, ending: str) -> None:
    engine = started(make)
    ask(engine, Get(timestamp=WALL, timeout=10).encode(), reply="short")
    ask(engine, Get(timestamp=WALL, timeout=11).encode(), reply="long")
    later = {"wall_ms": WALL + 11, "mono_ms": MONO + 2_000}
    if ending == "end":
        wire = load(engine, STORED, **later)
    else:
        if ending == "fail":
            begun = engine.begin_load(1, MONO)
            assert begun is not None
            engine.fail_load(begun[0], **later)
        elif ending == "tick":
            engine.tick(**later)
        else:
            engine.store_up(False, **later)
        wire = engine.take_output()
    assert [frame.subject for frame in frames(wire)] == ["long"]
    assert engine.stats()["requests_expired"] == 1
    assert engine.pending() == 0


@each_engine
@pytest.mark.parametrize("stored", [b"", document([("_id", text("e-1")), ("deleted_at", Raw(9, b"\1" * 8))])])
def test_an_unknown_endpoint_is_a_404_and_remembered(make: str, stored: bytes) -> None:
    engine = started(make)
    ask(engine, Get().encode())
    wire = load(engine, stored)
    [answer] = answers(wire)
    assert (answer["statusCode"], answer["reasonPhrase"]) == (404, "Endpoint not found")
    assert (answer["payload"], answer["eTag"], answer["endpointId"]) == (None, None, "e-1")
    assert ask(engine, Get().encode()) == wire
    assert engine.stats()["unknown_hits"] == 1
    engine.event(Kind.REGISTERED, b"", event_payload(Kind.REGISTERED, "e-1"), MONO)
    assert ask(engine, Get().encode()) == b"", "a registered event removes the mark"


@each_engine
def test_store_down_is_503_but_hits_go_on(make: str) -> None:
    engine = started(make)
    ask(engine, Get().encode())
    hit = load(engine, STORED)
    ask(engine, Get(endpoint_id="queued").encode(), reply="queued")
    engine.store_up(False, wall_ms=WALL, mono_ms=MONO)
    wire = engine.take_output() + ask(engine, Get(endpoint_id="late").encode(), reply="late")
    for frame in frames(wire):
        answer = response(frame.payload)
        assert (answer["statusCode"], answer["reasonPhrase"]) == (503, "Endpoint store is unavailable")
    assert [frame.subject for frame in frames(wire)] == ["queued", "late"]
    assert ask(engine, Get().encode()) == hit
    engine.store_up(True, wall_ms=WALL, mono_ms=MONO)
    assert ask(engine, Get(endpoint_id="late").encode()) == b""


@each_engine
def test_a_failed_load_is_503_for_its_gets_only(make: str) -> None:
    engine = started(make)
    ask(engine, Get(endpoint_id="a").encode(), reply="a")
    engine.begin_load(1, MONO)
    ask(engine, Get(endpoint_id="b").encode(), reply="b")
    engine.fail_load(1, wall_ms=WALL, mono_ms=MONO)
    assert [(f.subject, response(f.payload)["statusCode"]) for f in frames(engine.take_output())] == [
        ("a", 503)
    ]
    assert engine.pending() == 1
    assert engine.stats()["load_failures"] == 1


@each_engine
@pytest.mark.parametrize(
    "batch", [b"\4\0\0\0\0", b"\xff\xff\xff\xff\0", b"\0", STORED[:-1], STORED + b"\5\0\0"]
)
def test_a_batch_that_cannot_be_cut_fails_the_load(make: str, batch: bytes) -> None:
    engine = started(make)
    ask(engine, Get().encode())
    engine.begin_load(1, MONO)
    assert engine.end_load(1, [STORED, batch], wall_ms=WALL, mono_ms=MONO) == []
    assert answers(engine.take_output())[0]["statusCode"] == 503
    assert ask(engine, Get().encode()) == b"", "nothing was cached"


@each_engine
def test_too_many_waiting_is_503_at_once_and_goes_before_the_store(make: str) -> None:
    engine = started(make, max_pending=2)
    for name in ("a", "b"):
        assert ask(engine, Get(endpoint_id=name).encode()) == b""
    assert engine.begin_load(2, MONO) is not None
    [answer] = answers(ask(engine, Get(endpoint_id="c").encode()))
    assert (answer["statusCode"], answer["reasonPhrase"]) == (503, "Too many requests are waiting")
    engine.store_up(False, wall_ms=WALL, mono_ms=MONO)
    [answer] = answers(ask(engine, Get(endpoint_id="c").encode()))
    assert answer["reasonPhrase"] == "Too many requests are waiting"
    assert engine.pending() == 2


@each_engine
def test_too_many_bytes_waiting_is_503(make: str) -> None:
    engine = started(make, max_pending_bytes=20_000)
    assert ask(engine, Get(include=("x" * 3_000,)).encode()) == b""
    [answer] = answers(ask(engine, Get(include=("x" * 30_000,)).encode()))
    assert answer["reasonPhrase"] == "Too many requests are waiting"


@each_engine
def test_an_answer_over_max_payload_is_a_413_in_its_revision(make: str) -> None:
    big = endpoint("e-1", [("k", text("x" * 2000))])
    engine = started(make, max_payload=1024)
    ask(engine, Get(flag=None).encode())
    [answer] = answers(load(engine, big), 1)
    assert (answer["statusCode"], answer["payload"]) == (413, None)
    assert answer["reasonPhrase"] == "Metadata exceeds the maximum NATS payload"
    assert (answer["correlationId"], answer["endpointId"]) == ("c-1", "e-1")
    assert answers(ask(engine, Get(flag=None).encode()), 1) == [answer], "from the cache too"
    [other] = answers(ask(engine, Get(include=("other",)).encode()))
    assert (other["statusCode"], other["payload"]) == (200, b"{}")
    stats = engine.stats()
    assert (stats["answers_413"], stats["answers_200"]) == (2, 1)


@each_engine
def test_headers_count_towards_max_payload(make: str) -> None:
    engine = started(make)
    block = f"NATS/1.0\r\ntraceparent: {TRACE}\r\n\r\n".encode()
    ask(engine, Get().encode())
    [plain] = frames(load(engine, STORED))
    for spare, status in ((0, 200), (-1, 413)):
        total = len(plain.payload) + len(block) + spare
        engine.link_up(max_payload=total, headers=True, cluster=False, wall_ms=WALL, mono_ms=MONO)
        ask(engine, Get().encode(), headers=block)
        [frame] = frames(load(engine, STORED))
        assert frame.headers == block
        assert response(frame.payload)["statusCode"] == status


@each_engine
def test_a_failure_that_is_too_large_itself_repeats_nothing(make: str) -> None:
    engine = started(make, max_payload=200)
    block = f"NATS/1.0\r\ntraceparent: {TRACE}\r\n\r\n".encode()
    ask(engine, Get(correlation_id="c" * 190).encode(), headers=block)
    [frame] = frames(load(engine, STORED))
    answer = response(frame.payload)
    assert (answer["statusCode"], answer["correlationId"], answer["endpointId"]) == (413, "", "")
    assert frame.headers == b""
