"""What is sent over a real socket for a request, or for what is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest

from kaa_epr.http.asgi import Receive, Scope, Send
from kaa_epr.http.request import Request
from tests.support.raw_http import SECONDS, Client, connected, reset
from tests.unit.http.corpus import CHUNKED, GET, HOST, PUT, REFUSED, SERVED, Refused, Served
from tests.unit.http.serving import Echo, body, serving, start

Logged = list[MutableMapping[str, Any]]
LENGTH = b"Content-Length: %d\r\n"


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
async def test_hostile_requests_are_refused_and_reach_nobody(case: Refused) -> None:
    app = Echo()
    headers = [(b"correlation-id", b"c")]
    async with serving(app, error_headers=lambda: headers) as server, connected(server) as client:
        client.send(case.data)
        answer = await client.answer()
        assert answer.status == case.status
        assert list(json.loads(answer.body)) in (["message"], ["method", "path", "body", "host"])
        assert not answer.stays
        assert await client.ended() == b""
        # What is wrong with a body is found when an application reads it; it answers as it likes.
        assert len(app.asked) == (1 if case.data.startswith(CHUNKED) else 0)
        if not app.asked:
            assert answer.headers["correlation-id"] == "c"


@pytest.mark.parametrize("case", SERVED, ids=lambda case: case.name)
async def test_requests_are_served(case: Served, logged: Logged) -> None:
    app = Echo()
    async with serving(app) as server, connected(server) as client:
        client.send(case.data)
        answer = await client.answer()
        assert answer.status == 200
        assert json.loads(answer.body)["host"] == case.host.decode()
        assert app.asked == [(case.method, case.path, case.body)]
        assert answer.stays == case.stays
        if case.stays:
            client.send(GET + HOST + b"\r\n")
            assert (await client.answer()).status == 200
        else:
            assert await client.ended() == b""
    assert logged == []


async def test_every_answer_has_a_date_and_no_server_name() -> None:
    async with serving(Echo()) as server, connected(server) as client:
        client.send(GET + HOST + b"\r\n")
        headers = (await client.answer()).headers
    assert headers["date"].endswith(" GMT")
    assert "server" not in headers


async def test_head_is_answered_without_a_body() -> None:
    async with serving(Echo()) as server, connected(server) as client:
        client.send(b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n" + GET + HOST + b"\r\n")
        head = await client.answer("HEAD")
        assert int(head.headers["content-length"]) > 0
        assert json.loads((await client.answer()).body)["method"] == "GET"


# --- bodies -------------------------------------------------------------------------------------------------
async def test_a_client_is_told_to_go_on_when_its_body_is_read() -> None:
    async with serving(Echo()) as server, connected(server) as client:
        client.send(PUT + LENGTH % 3 + b"Expect: 100-continue\r\n\r\n")
        assert (await client.answer()).status == 100
        client.send(b"abc")
        answer = await client.answer()
        assert (answer.status, answer.stays) == (200, True)
        assert json.loads(answer.body)["body"] == "abc"


async def test_a_client_that_does_not_wait_is_not_told_to_go_on() -> None:
    async with serving(Echo()) as server, connected(server) as client:
        client.send(PUT + LENGTH % 3 + b"Expect: 100-continue\r\n\r\nabc")
        assert (await client.answer()).status == 200


async def refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Without a look at the body."""
    await send(start(403))
    await send(body(b"no"))


async def test_a_client_that_waits_may_be_refused_instead() -> None:
    async with serving(refuse) as server, connected(server) as client:
        client.send(PUT + LENGTH % 3 + b"Expect: 100-continue\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.stays) == (403, False)
        assert await client.ended() == b""


@pytest.mark.parametrize("late", [False, True])
async def test_a_short_body_that_nobody_reads_does_not_end_the_connection(late: bool) -> None:
    async with serving(refuse) as server, connected(server) as client:
        client.send(PUT + LENGTH % 1000 + b"\r\n" + (b"" if late else b"x" * 1000))
        assert (await client.answer()).stays
        client.send((b"x" * 1000 if late else b"") + PUT + LENGTH % 0 + b"\r\n")
        assert (await client.answer()).status == 403


@pytest.mark.parametrize("framing", [LENGTH % (20 * 1024 * 1024), b"Transfer-Encoding: chunked\r\n"])
async def test_the_answer_arrives_though_the_client_still_sends(framing: bytes) -> None:
    """A client that reads only when all is sent: its bytes are taken until it has had a chance to look."""
    async with serving(refuse) as server, connected(server) as client:
        client.send(PUT + framing + b"\r\n")
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n" if b"chunked" in framing else b"x" * 65536
        for _ in range(16):
            client.send(piece)
            await client.writer.drain()
        answer = await client.answer()
        assert (answer.status, answer.stays) == (403, False)


async def test_bad_chunks_end_the_connection_whoever_answers() -> None:
    async with serving(Echo()) as server, connected(server) as client:
        client.send(CHUNKED + b"1\r\na\r\n")
        client.send(b"?\r\n")
        answer = await client.answer()
        assert (answer.status, answer.stays) == (400, False)
        assert await client.ended() == b""


# --- answers ------------------------------------------------------------------------------------------------
async def in_pieces(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send(start())
    for piece in (b"ab", b"", b"c"):
        await send(body(piece, more=True))
    await send(body(b"d"))


@pytest.mark.parametrize(
    ("request_bytes", "coding", "stays"),
    [
        (GET + HOST + b"\r\n", "chunked", True),
        (b"GET / HTTP/1.0\r\n\r\n", None, False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", None, False),
    ],
)
async def test_answers_in_pieces(request_bytes: bytes, coding: str | None, stays: bool) -> None:
    async with serving(in_pieces) as server, connected(server) as client:
        client.send(request_bytes)
        answer = await client.answer()
        assert answer.body == b"abcd"
        assert (answer.headers.get("transfer-encoding"), answer.stays) == (coding, stays)
        assert "content-length" not in answer.headers


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(status: int) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start(status))
        await send(body(b""))

    async with serving(app) as server, connected(server) as client:
        client.send((GET + HOST + b"\r\n") * 2)
        for _ in range(2):
            answer = await client.answer()
            assert answer.status == status
            assert "content-length" not in answer.headers
            assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("bug", ["raises", "returns"])
async def test_a_bug_costs_nobody_else_anything(begun: bool, bug: str, logged: Logged) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        if begun:
            await send(start())
            await send(body(b"half", more=True))
        if bug == "raises":
            raise RuntimeError("hunter2")

    async with serving(app) as server, connected(server) as client:
        client.send(GET + HOST + b"\r\n")
        if begun:
            # Cut short: there is no last chunk.
            assert not (await client.ended()).endswith(b"0\r\n\r\n")
        else:
            answer = await client.answer()
            assert answer.status == 500
            assert json.loads(answer.body) == {"message": "Internal Server Error"}
            assert await client.ended() == b""
        async with connected(server) as other:
            other.send(GET + HOST + b"\r\n")
            await other.reader.readline()
    assert {line["event"] for line in logged} == {"an application met a bug"}


@pytest.mark.parametrize("value", [b"a\r\nX: b", b"a\nb", b"a\rb"])
async def test_a_header_cannot_break_out_of_its_line(value: bytes) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start(200, (b"location", value)))
        await send(body(b""))

    async with serving(app) as server, connected(server) as client:
        client.send(GET + HOST + b"\r\n")
        answer = await client.answer()
        assert answer.status == 500
        assert "x" not in answer.headers


# --- clients that leave -------------------------------------------------------------------------------------
async def test_a_client_that_has_said_all_still_gets_its_answers() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        asked = await receive()
        assert (await receive())["type"] == "http.disconnect"
        await send(start())
        await send(body(asked["body"]))

    async with serving(app) as server, connected(server) as client:
        client.send(PUT + LENGTH % 3 + b"\r\nabc")
        client.writer.write_eof()
        answer = await client.answer()
        assert (answer.body, answer.stays) == (b"abc", False)


class Told:
    """An application that waits to be told that its client has gone."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.gone = asyncio.Event()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone.set()
        await send(start())
        await send(body(b""))


@pytest.mark.parametrize(
    "data", [PUT + LENGTH % 3 + b"\r\na", GET + HOST + b"\r\n"], ids=["in its body", "after"]
)
async def test_an_application_is_told_that_its_client_has_gone(data: bytes, logged: Logged) -> None:
    app = Told()
    async with serving(app) as server:
        async with connected(server) as client:
            client.send(data)
            await app.begun.wait()
        async with asyncio.timeout(20):
            await app.gone.wait()
    assert logged == []


async def test_pieces_are_not_made_for_a_client_that_has_gone() -> None:
    ended = asyncio.Event()
    made = 0

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal made
        await send(start())
        try:
            while True:
                made += 1
                await send(body(b"x" * 65536, more=True))
        finally:
            ended.set()

    async with serving(app) as server:
        async with connected(server) as client:
            client.send(GET + HOST + b"\r\n")
            await client.reader.readline()
        async with asyncio.timeout(20):
            await ended.wait()
    assert made < 1000


class Waits:
    """An application that waits for something else than its client."""

    def __init__(self, *, says: bool, begins: bool) -> None:
        self._says, self._begins = says, begins
        self.waiting = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.done = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        async for _ in request.pieces():
            pass
        if self._says:
            request.end_with_client()
        if self._begins:
            await send(start())
            await send(body(b"a", more=True))
        self.waiting.set()
        try:
            await self.goes_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        self.done.set()


@pytest.mark.parametrize(("says", "begins"), [(True, False), (False, True)], ids=["says so", "has begun"])
async def test_what_is_for_nobody_but_the_client_ends_with_it(
    says: bool, begins: bool, logged: Logged
) -> None:
    app = Waits(says=says, begins=begins)
    async with serving(app) as server:
        async with connected(server) as client, asyncio.timeout(SECONDS):
            client.send(GET + HOST + b"\r\n")
            await app.waiting.wait()
            reset(client)
            await app.cancelled.wait()
        # Nothing is left of it, so that a stop has nothing to wait for.
        await server.stop()
    assert logged == []


async def test_what_may_change_something_goes_on_without_its_client() -> None:
    app = Waits(says=False, begins=False)
    async with serving(app) as server:
        async with connected(server) as client, asyncio.timeout(SECONDS):
            client.send(PUT + LENGTH % 1 + b"\r\na")
            await app.waiting.wait()
            reset(client)
        app.waiting.clear()
        async with connected(server) as other, asyncio.timeout(SECONDS):
            other.send(GET + HOST + b"\r\n")
            await app.waiting.wait()
            app.goes_on.set()
            await app.done.wait()
    assert not app.cancelled.is_set()


def test_the_client_of_these_tests_reads_chunks() -> None:
    async def read() -> Any:
        reader = asyncio.StreamReader()
        reader.feed_data(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
        return await Client(reader, None).answer()  # type: ignore[arg-type]

    assert asyncio.run(read()).body == b"a"
