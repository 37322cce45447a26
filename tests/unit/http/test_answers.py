"""Answers on their way: large ones bit by bit, as one to whoever reads them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from kaa_epr.http.asgi import Receive, Scope, Send
from kaa_epr.http.request import PIECE_BYTES, Answer
from tests.support.raw_http import connected
from tests.unit.http.corpus import GET, HOST
from tests.unit.http.serving import serving

LARGE = bytes(range(256)) * 40_000
SIZES = (0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, len(LARGE))


async def test_no_piece_is_larger_than_its_bound() -> None:
    for size in SIZES:
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await Answer(HTTPStatus.OK, [(b"x-a", b"b")], LARGE[:size]).send(send)
        start, *bodies = sent
        assert start["status"] == HTTPStatus.OK
        assert start["headers"][0] == (b"x-a", b"b")
        pieces = [message.get("body", b"") for message in bodies]
        assert b"".join(pieces) == LARGE[:size]
        assert max(map(len, pieces)) <= PIECE_BYTES
        assert [message.get("more_body", False) for message in bodies] == [True] * (len(bodies) - 1) + [False]


async def test_a_large_answer_is_read_as_one_and_the_connection_stays() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await Answer(HTTPStatus.OK, [], LARGE).send(send)

    async with serving(app) as server, connected(server, limit=2**20) as client:
        for method in ("GET", "HEAD", "GET"):
            client.send(GET.replace(b"GET", method.encode(), 1) + HOST + b"\r\n")
            answer = await client.answer(method)
            assert answer.headers["content-length"] == str(len(LARGE))
            assert "transfer-encoding" not in answer.headers
            assert answer.body == (b"" if method == "HEAD" else LARGE)
            assert answer.stays
