"""Which reply subjects are answered: core, pure engine and the register's writes say the same of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from kaa_epr.engine.api import Kind
from kaa_epr.nats.fast import is_fast
from kaa_epr.nats.outlet import SessionOutlet
from kaa_epr.nats.tolerant import TolerantClient
from kaa_epr.register.epmmp.codec import Operation
from kaa_epr.register.epmmp.service import EpmmpService
from kaa_epr.register.intake.budget import Budget
from kaa_epr.reply import may_answer_to
from tests.property.messages import Get, app_versions, block, keys_get
from tests.property.support import MONO, WALL, needs_rust, started
from tests.support.replies import ANSWERED, REFUSED

TOKENS = st.sampled_from(
    [
        *(b"kaa", b"v1", b"v2", b"events", b"service", b"replica", b"coherence", b"epr", b"x", b""),
        *(b"$SYS", b"$JS", b"$", b"_GR_", b"_R_", b"_INBOX", b"*", b">", b"a*", "é".encode(), b"\xff", b"\v"),
        *(b"\x00", b"\x7f", b"y" * 500),
    ]
)
REPLIES = (
    st.sampled_from([*ANSWERED, *REFUSED])
    | st.lists(TOKENS, max_size=8).map(b".".join)
    | st.binary(max_size=40)
)
REQUESTS = {
    Kind.GET: Get(endpoint_id="e").encode(),
    Kind.KEYS_GET: keys_get("e"),
    Kind.APP_VERSIONS: app_versions([block(["e"])]),
}


def by_callback(engine_name: str, kind: Kind, reply: str) -> tuple[int, int]:
    engine = started(engine_name)
    engine.get(reply, b"", REQUESTS[kind], kind=kind, fresh=False, wall_ms=WALL, mono_ms=MONO)
    stats = engine.stats()
    assert isinstance(stats["requests_bad_reply"], int)
    assert isinstance(stats["requests_no_reply"], int)
    assert engine.pending() + stats["requests_bad_reply"] + stats["requests_no_reply"] == 1
    return stats["requests_bad_reply"], stats["requests_no_reply"]


def by_fast_path(kind: Kind, reply: bytes) -> tuple[int, int]:
    engine = started("rust")
    assert is_fast(engine)
    engine.bind(1, kind)
    payload = REQUESTS[kind]
    line = b" ".join([b"MSG s 1", *([reply] if reply else []), b"%d" % len(payload)])
    engine.reader(lambda _result, _seconds: None, 0).feed(b"%b\r\n%b\r\n" % (line, payload))
    stats = engine.stats()
    assert stats["requests"] == 1
    assert isinstance(stats["requests_bad_reply"], int)
    assert isinstance(stats["requests_no_reply"], int)
    return stats["requests_bad_reply"], stats["requests_no_reply"]


async def by_register(reply: bytes) -> Counter[str]:
    """What becomes of a write as nats-py hands it over: why nothing is done, or ``taken``."""
    seen: Counter[str] = Counter()

    def begin(_request: Mapping[str, Any]) -> asyncio.Future[Any]:
        seen["carried out"] += 1
        return asyncio.get_running_loop().create_future()

    schema = "epmmp/0019-endpoint-metadata-key-update-"
    operation = Operation("ep-metadata-key-update-request", f"{schema}request", f"{schema}response", begin)
    service = EpmmpService(
        "epr",
        "epr",
        SessionOutlet(),
        (operation,),
        Budget(1000),
        on_full=lambda: None,
        on_dropped=lambda why: seen.update([why]),
    )
    await service._on_request(service._codecs[0], as_handed_over(TolerantClient(), reply))
    for work in set(service._under_way):
        seen["taken"] += 1
        work.cancel()
    await asyncio.gather(*service._under_way, return_exceptions=True)
    return seen


def as_handed_over(client: Client, reply: bytes) -> Msg:
    message = client._build_message(1, b"s", reply, b"", None)
    assert isinstance(message, Msg)
    return message


@needs_rust
@given(kind=st.sampled_from(sorted(REQUESTS)), reply=REPLIES)
def test_everybody_has_the_same_verdict(kind: Kind, reply: bytes) -> None:
    verdict = (int(bool(reply) and not may_answer_to(reply)), int(not reply))
    if not set(b" \r\n") & set(reply):  # else the server would have read it otherwise
        assert by_fast_path(kind, reply) == verdict
    handed_over = as_handed_over(TolerantClient(), reply).reply
    assert by_callback("rust", kind, handed_over) == verdict
    assert by_callback("pure", kind, handed_over) == verdict
    expected = {(0, 0): "taken", (1, 0): "bad_reply", (0, 1): "no_reply"}[verdict]
    assert asyncio.run(by_register(reply)) == {expected: 1}


@pytest.mark.parametrize("reply", ANSWERED)
def test_these_are_answered(reply: bytes) -> None:
    assert may_answer_to(reply)
    assert may_answer_to(reply.decode())


@pytest.mark.parametrize("reply", [*REFUSED, b"", b"a b", b"a\tb", b"a\r\nb"])
def test_these_are_not(reply: bytes) -> None:
    assert not may_answer_to(reply)


def test_half_a_surrogate_is_no_subject() -> None:
    assert not may_answer_to("a.\ud800")


@given(reply=REPLIES)
@example(b"")
def test_what_is_answered_is_one_word_of_a_frame(reply: bytes) -> None:
    """Said without the rules themselves: it can be written, and no subscription of ours hears it."""
    if not may_answer_to(reply):
        return
    assert reply.split() == [reply]
    assert all(reply.decode().split("."))
    assert not {b"*", b">"} & set(reply.split(b"."))
    assert not reply.startswith((b"$", b"kaa.v1.events.", b"kaa.v1.service.", b"kaa.v1.coherence."))
