"""The table of gets in flight: which answer ends what, and what is left afterwards."""

from __future__ import annotations

import asyncio

import pytest

from kaa_epr.client import ClientClosed, ProtocolViolation, TooManyRequests
from kaa_epr.client.calls import Call, Calls, Cause, Setback
from kaa_epr.client.codec import Answer


def answer(correlation_id: str, status: int = 200, etag: str | None = None) -> Answer:
    return Answer(correlation_id, "e", status, "why", None, etag, None)


def later(seconds: float = 10.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def one_call(calls: Calls, attempts: int = 1) -> tuple[Call, list[str]]:
    call = calls.open("e", "root")
    return call, [calls.begin_attempt(call) for _ in range(attempts)]


async def test_ids_begin_with_the_callers_and_never_repeat() -> None:
    calls = Calls(10, "nonce")
    ids = [*one_call(calls, 2)[1], *one_call(calls, 2)[1]]
    assert ids == ["root-nonce-1.1", "root-nonce-1.2", "root-nonce-2.1", "root-nonce-2.2"]
    own = calls.open("e", None)
    assert own.correlation_id == "nonce-3"
    assert calls.begin_attempt(own) == "nonce-3.1"


async def test_an_answer_before_anybody_waits_is_kept() -> None:
    calls = Calls(10, "n")
    call, ids = one_call(calls)
    calls.deliver(answer(ids[0], etag="1"))
    assert await call.wait(later()) == answer(ids[0], etag="1")


async def test_an_answer_goes_before_a_setback_that_came_first() -> None:
    calls = Calls(10, "n")
    call, ids = one_call(calls)
    calls.no_responders()
    calls.deliver(answer(ids[0]))
    assert await call.wait(later()) == answer(ids[0])


async def test_a_503_sets_back_the_newest_attempt_only() -> None:
    calls = Calls(10, "n")
    call, ids = one_call(calls, 2)
    calls.deliver(answer(ids[0], 503))
    assert calls.stats.late_answers == 1
    calls.deliver(answer(ids[1], 503))
    assert await call.wait(later()) == Setback(Cause.UNAVAILABLE, "why")
    calls.deliver(answer(ids[1], 503))  # the attempt has ended
    assert calls.stats.late_answers == 2
    assert calls.stats.answers == 1


async def test_silence_lasts_until_the_clock_says_so() -> None:
    call, _ = one_call(Calls(10, "n"))
    until = later(0.02)
    assert await call.wait(until) == Setback(Cause.SILENCE)
    assert later(0) >= until


@pytest.mark.parametrize("cause", [Cause.NO_RESPONDERS, Cause.LINK_LOST])
async def test_what_concerns_the_connection_sets_back_every_attempt_that_waits(cause: Cause) -> None:
    calls = Calls(10, "n")
    waiting = [one_call(calls)[0] for _ in range(3)]
    pausing = one_call(calls)[0]
    pause = asyncio.create_task(pausing.pause(later()))
    await asyncio.wait([pause], timeout=0)
    (calls.no_responders if cause is Cause.NO_RESPONDERS else calls.link_lost)()
    for call in waiting:
        assert await call.wait(later()) == Setback(cause)
        assert not call.waiting
    assert not pause.done()
    calls.deliver(answer("root-n-4.1"))
    assert await pause == answer("root-n-4.1")


async def test_a_pause_forgets_the_setback_it_follows() -> None:
    calls = Calls(10, "n")
    call, _ = one_call(calls)
    calls.no_responders()
    assert await call.pause(later(0.01)) == Setback(Cause.SILENCE)


async def test_the_table_is_bounded_and_empties() -> None:
    calls = Calls(2, "n")
    opened = [one_call(calls, 3) for _ in range(2)]
    with pytest.raises(TooManyRequests):
        calls.open("e", None)
    for call, _ in opened:
        calls.close(call)
        calls.close(call)
    assert len(calls) == 0
    assert calls._attempts == {}
    calls.deliver(answer(opened[0][1][0]))
    assert calls.stats.late_answers == 1
    assert calls.stats.gets == 2


async def test_answers_to_others_are_foreign() -> None:
    calls = Calls(2, "nonce")
    calls.deliver(answer("root-other-1.1"))
    calls.deliver(answer(""))
    assert (calls.stats.foreign_answers, calls.stats.late_answers) == (2, 0)


async def test_a_violation_ends_its_get_unless_that_was_answered() -> None:
    calls = Calls(10, "n")
    call, ids = one_call(calls)
    answered, answered_ids = one_call(calls)
    calls.deliver(answer(answered_ids[0]))
    for correlation_id in (ids[0], answered_ids[0], "x", None):
        calls.violate(correlation_id, "bad")
    with pytest.raises(ProtocolViolation, match="bad") as caught:
        await call.wait(later())
    assert (caught.value.endpoint_id, caught.value.correlation_id) == ("e", "root")
    assert await answered.wait(later()) == answer(answered_ids[0])
    assert calls.stats.undecodable_answers == 4


async def test_closing_fails_gets_that_wait_and_those_about_to() -> None:
    calls = Calls(10, "n")
    waiting, _ = one_call(calls)
    wait = asyncio.create_task(waiting.wait(later()))
    await asyncio.wait([wait], timeout=0)
    about_to, _ = one_call(calls)
    calls.fail_all("the client")
    with pytest.raises(ClientClosed):
        await wait
    with pytest.raises(ClientClosed):
        await about_to.wait(later())
